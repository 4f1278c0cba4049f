"""Audiences over a log of events, without Kafka: simulation and cases."""
