"""A worker writes only while the group surely counts on it: how that is known, and that the worker asks."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from agents.faust.transport import Consumer
from agents.kafka.membership import MembershipLost
from agents.topics.written import WrittenTopics
from app.settings.tree import Settings
from app.worker.worker import Worker
from tests.stage.scene import scene

SESSION_SECONDS = 10.0


class AskedConsumer(SimpleNamespace):
    """The worker's consumer, of which only the membership is asked."""

    def is_member(self) -> bool:
        return Consumer.is_member(self)  # type: ignore[arg-type]


def seen(at: float | None) -> Any:
    """A consumer whose latest heartbeat was answered then."""
    return AskedConsumer(
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


async def test_a_worker_that_its_group_does_not_let_in_ends_and_says_so(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    # A stranger that shares partitions out in another way: nobody else is let in.
    stranger = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        group_id=topic_prefix,
        partition_assignment_strategy=[StickyPartitionAssignor],
        enable_auto_commit=False,
    )
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage, stranger:
        stranger.subscribe([stage.events])
        await stage.until(stranger.assignment, "the stranger is in")
        worker = stage.worker()
        worker.start()
        process = worker.process
        assert process is not None
        await stage.until_ended(worker, 20)
        assert process.returncode == 2
        said = worker.log().split("exit_after_crash")[-1]
        assert f"the consumer group '{topic_prefix}' does not let this process take part" in said
        assert "InconsistentGroupProtocol" in said
        assert "Traceback" not in said


async def test_the_worker_asks_before_it_writes(tmp_path: Path) -> None:
    worker = Worker(Settings.model_validate({"worker": {"data_dir": str(tmp_path)}}))
    worker.partitions = 1
    producer: Any = SimpleNamespace()
    worker.topics = SimpleNamespace()  # type: ignore[assignment]
    worker._wire(producer, WrittenTopics("changelog", "transitions", "rekeyed", 1, 1))
    may_write = worker.evaluator._committer._may_write
    now = time.monotonic()
    for at, expected in ((now, True), (now - SESSION_SECONDS - 1, False)):
        worker.app._consumer = seen(at)
        assert may_write() is expected
    worker.app._consumer = seen(None)
    with pytest.raises(MembershipLost):
        may_write()
