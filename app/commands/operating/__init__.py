"""Commands for operators: topics, keys, settings, dead letters."""
