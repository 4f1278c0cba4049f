"""Tests of agents/deliver/content."""
