"""Tests of agents/deliver/definitions."""
