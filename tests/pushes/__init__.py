"""Pushes: rooms as in agents/pushes; service is for app/pushes."""
