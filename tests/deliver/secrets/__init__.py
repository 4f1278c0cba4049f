"""Tests of agents/deliver/secrets."""
