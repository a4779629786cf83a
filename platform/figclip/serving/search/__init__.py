"""From a query of several parts to figures, facets, pages and files."""
