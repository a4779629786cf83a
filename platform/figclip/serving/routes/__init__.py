"""The JSON endpoints of embeddings, from the dialects of their requests to their answers."""
