"""How deliveries go out: order, retries, pauses. Knows no kind of destination."""
