"""Definitions that have a name: destinations, connections, pushes."""
