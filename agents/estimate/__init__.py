"""Sizes of audiences that aren't published, from a sample of the users (docs/decisions/0037)."""
