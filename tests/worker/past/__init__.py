"""Definitions that come late: what the live workers make of the past."""
