"""Fixtures of delivery tests."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest

from tests.eventhub.fixtures import event_hub, new_peer, peer

__all__ = ["event_hub", "new_peer", "peer"]


# When the event loop is closed: what the Event Hub SDK left open must not turn up in some later test.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    result = yield
    if {"peer", "new_peer"} & set(getattr(item, "fixturenames", ())):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    return result
