"""``turnstile audiences``: the life cycle of definitions from a shell. ``group`` lists its commands."""
