"""Tests of agents/sinks/kafka."""
