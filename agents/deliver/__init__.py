"""Delivery: transitions to webhooks, Azure Event Hub and further Kafka topics, one destination at a time."""
