"""``bench estimate``: the size of an audience from a sample, beside all users evaluated."""
