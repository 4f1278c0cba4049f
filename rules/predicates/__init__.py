"""Comparisons of values, and the ``where`` of a rule compiled to a function."""
