"""Pushes: the members of an audience as a list, once or on a schedule."""
