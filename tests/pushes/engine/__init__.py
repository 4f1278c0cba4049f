"""Tests of agents/pushes/engine."""
