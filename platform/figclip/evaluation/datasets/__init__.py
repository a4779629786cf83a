"""Labelled pictures from their published files: declared once, read in their own layouts."""
