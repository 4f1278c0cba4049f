"""Benchmarks of delivery."""
