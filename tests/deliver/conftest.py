"""Fixtures of delivery tests."""

from __future__ import annotations

from tests.eventhub.fixtures import event_hub, new_peer, peer, pytest_runtest_teardown

__all__ = ["event_hub", "new_peer", "peer", "pytest_runtest_teardown"]
