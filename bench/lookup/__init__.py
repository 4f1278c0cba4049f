"""Lookups under load: on workers, on readers, and in Redis, which people would use instead."""
