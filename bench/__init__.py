"""The benchmarks behind ``turnstile bench``."""
