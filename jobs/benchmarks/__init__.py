"""What the benchmarks measure, one module each."""
