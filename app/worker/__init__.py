"""The worker process: evaluation, lookups, watchdog, metrics."""
