"""Tests of agents/deliver/permissions."""
