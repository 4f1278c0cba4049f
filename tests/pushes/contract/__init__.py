"""Tests of agents/pushes/contract."""
