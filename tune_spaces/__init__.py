"""Sweeps: one question a file, plain values keyed by dotted config names.

Each file has a `SPACE`; `python -m jobs.sweep NAME --budget tiny` asks it.
"""
