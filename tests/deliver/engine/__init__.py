"""Tests of agents/deliver/engine."""
