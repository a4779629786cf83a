"""What an encoder is worth: metrics, retrieval, tables and pictures."""
