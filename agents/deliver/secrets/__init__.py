"""Secrets of destinations: read, checked, masked."""
