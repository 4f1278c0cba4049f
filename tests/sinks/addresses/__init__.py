"""Tests of agents/sinks/addresses."""
