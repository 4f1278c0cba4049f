"""Tests of agents/deliver/members."""
