"""Sweeps: many small pretraining runs that answer one question, and what they found."""
