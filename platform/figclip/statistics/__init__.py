"""What a corpus holds, as numbers, plots and a page."""
