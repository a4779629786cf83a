"""figclip: figures and captions of PubMed Central, and the encoders that learn from them."""

__version__ = "0.1.0"
