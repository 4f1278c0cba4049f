"""The commands of ``turnstile``, one module each: here those that run or ask a worker.

What a command needs is imported inside it, so that the others, and ``--help``, start without Faust and Kafka.
"""
