"""Entry points: `python -m jobs.NAME PRESET --dotted.override value`."""
