"""Delivery: rooms as in agents/deliver; service is for app/deliver."""
