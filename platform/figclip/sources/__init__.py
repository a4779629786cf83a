"""Where articles come from: PubMed Central's bucket, or a miniature of it."""
