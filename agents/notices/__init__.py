"""Notices: what a project's own systems are told of its audiences, and where (docs/sensors.md)."""
