"""From an encoder artifact to embeddings, and from embeddings to a searchable index."""
