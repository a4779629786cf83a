"""From an article's XML to its record: figures, captions, mentions, licences."""
