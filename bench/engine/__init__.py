"""Benchmarks of the pure pipeline, without Kafka."""
