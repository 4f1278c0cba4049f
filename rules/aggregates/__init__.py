"""Conditions that count and sum events over windows."""
