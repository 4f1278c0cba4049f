"""Kafka, as this service uses it: brokers, producers, limits, what was lost."""
