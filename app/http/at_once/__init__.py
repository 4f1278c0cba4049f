"""Requests of a plain kind, answered in the moment in which they come: no task, and no aiohttp."""
