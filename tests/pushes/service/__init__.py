"""Tests of app/pushes, with real workers and brokers."""
