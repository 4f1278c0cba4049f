"""Faust by subclass: its app, transport, consumer thread and assignor."""
