"""Clients of the configured Kafka cluster."""
