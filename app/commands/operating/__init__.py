"""Commands for whoever runs the service: topics, keys, settings, dead letters."""
