"""Brokers and topics of the benchmarks."""
