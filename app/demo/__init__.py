"""``turnstile demo``: a broker, a worker and 18 months of real purchases, to watch in a terminal.

The same worker, topics and rules as in production; only the time is the log's (``app.demo.replay``).
"""
