"""The labels that are printed in a picture, and the panels that they name."""
