"""A worker writes only while the group surely counts on it: how that is known, and that the worker asks."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.commits import Topics
from agents.transport import Consumer, MembershipLost
from app.settings import Settings
from app.worker import Worker

SESSION_SECONDS = 10.0


class Known(SimpleNamespace):
    """The worker's consumer, of which only the membership is asked."""

    def is_member(self) -> bool:
        return Consumer.is_member(self)  # type: ignore[arg-type]


def seen(at: float | None) -> Any:
    """A consumer whose latest heartbeat was answered then."""
    return Known(
        _thread=SimpleNamespace(membership_seen=at),
        app=SimpleNamespace(conf=SimpleNamespace(broker_session_timeout=SESSION_SECONDS)),
    )


def test_a_member_is_who_had_a_heartbeat_answered_within_the_session() -> None:
    now = time.monotonic()
    assert Consumer.is_member(seen(now))
    assert Consumer.is_member(seen(now - SESSION_SECONDS + 1))
    assert not Consumer.is_member(seen(now - SESSION_SECONDS - 0.1))
    with pytest.raises(MembershipLost):
        Consumer.is_member(seen(None))


async def test_the_worker_asks_before_it_writes(tmp_path: Path) -> None:
    worker = Worker(Settings.model_validate({"worker": {"data_dir": str(tmp_path)}}))
    worker.partitions = 1
    producer: Any = SimpleNamespace()
    worker._wire(producer, Topics("changelog", "transitions", "rekeyed", 1, 1))
    may_write = worker.evaluator._committer.may_write
    now = time.monotonic()
    for at, expected in ((now, True), (now - SESSION_SECONDS - 1, False)):
        worker.app._consumer = seen(at)
        assert may_write() is expected
    worker.app._consumer = seen(None)
    with pytest.raises(MembershipLost):
        may_write()
