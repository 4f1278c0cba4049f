"""Tests of the service: HTTP, projects, the documentation."""
