"""How far each version of an audience is in each partition, and who tells it."""
