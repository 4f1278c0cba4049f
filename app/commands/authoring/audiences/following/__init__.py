"""Waiting until published versions are ready: progress read, in words, in bars."""
