"""A picture, and what is known of its labels, to panels."""
