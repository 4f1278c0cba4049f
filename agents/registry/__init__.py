"""Definitions and keys on compacted topics: written by one, followed by all."""
