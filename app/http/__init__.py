"""One HTTP server for every process: listening, TLS, keys, limits, problems."""
