"""Tests of agents/deliver/consumer."""
