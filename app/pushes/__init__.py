"""The process ``turnstile push worker``, and pushes for commands and HTTP."""
