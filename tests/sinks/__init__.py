"""Tests of agents/sinks."""
