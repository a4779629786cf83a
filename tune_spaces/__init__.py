"""Sweeps: one question a file, plain values keyed by dotted config names."""
