"""What the benchmarks of `jobs.benchmark` measure, a file each."""
