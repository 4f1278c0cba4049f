"""One computation of the past, beside the live stream: throttled, restartable, in a scratch store."""
