"""Tests of agents/pushes/snapshot."""
