"""Erasing users through HTTP: the request, and the receipt."""
