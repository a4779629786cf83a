"""Public figures in place of private pictures: what their captions tell of these."""
