"""Topics of any Kafka cluster."""
