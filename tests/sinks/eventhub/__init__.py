"""Tests of agents/sinks/eventhub."""
