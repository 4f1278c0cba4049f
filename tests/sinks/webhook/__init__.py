"""Tests of agents/sinks/webhook."""
