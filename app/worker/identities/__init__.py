"""Identities over HTTP: whose they are, which collide, and how those from before claims are claimed."""
