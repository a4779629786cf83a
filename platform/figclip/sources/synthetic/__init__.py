"""Invented articles: what their figures show, how it is drawn, and the words that say so."""
