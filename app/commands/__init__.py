"""The commands of ``turnstile``, one module each.

What a command needs is imported inside it, so that the others, and ``--help``, start without Faust and Kafka.
"""
