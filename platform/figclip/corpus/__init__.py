"""From an article's XML and media to pairs of one image and one caption."""
