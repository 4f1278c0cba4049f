"""Settings, wiring, life cycle, HTTP, command line, metrics."""
