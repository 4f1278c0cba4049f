"""What the engine and the sinks agree on: deliveries, their outcomes, and what a sink does."""
