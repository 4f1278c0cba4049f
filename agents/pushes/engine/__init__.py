"""Runs, from the time at which they are due to a list at its target: in the one process that leads."""
