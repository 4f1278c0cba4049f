"""Connections over HTTP on a delivery worker, and what testing one does."""
