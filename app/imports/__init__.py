"""``turnstile import``: files of records from before the source topics begin, into a history topic."""
