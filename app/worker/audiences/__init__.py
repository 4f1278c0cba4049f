"""Definitions over HTTP: read, created, edited, deleted, restored, rebuilt, released, taken back, checked."""
