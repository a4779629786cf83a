"""From pairs to batches that a model takes: tokens, pixels, and the order they come in."""
