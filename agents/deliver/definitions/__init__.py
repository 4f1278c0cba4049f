"""Destinations: what they say, what is refused, and which are in use."""
