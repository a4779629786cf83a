"""The search page, rendered here; it works without a script."""
