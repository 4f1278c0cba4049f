"""What happened before: which logs a computation reads, from where on, and in which order."""
