"""Benchmarks of a real worker, and what it is measured beside."""
