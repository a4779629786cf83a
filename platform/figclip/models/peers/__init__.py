"""Encoders of others whose towers are not ours: read as they were published, to be embedded by."""
