"""Where articles come from: PubMed Central's bucket, its old packages, or a miniature."""
