"""Benchmarks: ratios to a reference in the same run, by one command: `make bench`."""
