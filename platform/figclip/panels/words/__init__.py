"""Captions and mentions: which words speak of which panel."""
