"""Lookups of many users: who is in what, asked of whichever process holds the users."""
