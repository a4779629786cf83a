"""Sweeps: which choices of a recipe pay, asked of many short runs, recorded and resumable."""
