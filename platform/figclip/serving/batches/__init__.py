"""From many callers to few passes of a model: batches, what is asked once, decoding beside it."""
