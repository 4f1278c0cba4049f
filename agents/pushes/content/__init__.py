"""What a pushed list holds: ids, attributes, and how its rows are written. Pure functions."""
