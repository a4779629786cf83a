"""From a media file's bytes to a checked picture, and which pictures are the same."""
