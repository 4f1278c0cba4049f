"""Records and batches that stay bytes on their way between Kafka and the native core."""
