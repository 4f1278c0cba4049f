"""From the transitions topic to the engine: one consumer group per destination, and its offsets."""
