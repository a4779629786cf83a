"""Visual question answering: what encoders can be taught to answer about a picture."""
