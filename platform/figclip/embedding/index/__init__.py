"""Embeddings made searchable: built, updated, probed, opened; filters, counts and words beside."""
