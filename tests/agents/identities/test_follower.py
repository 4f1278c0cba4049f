"""The follower of claims: silent until all of a partition is read; read again where its store may lie."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from agents.identities.follower import STALE_MS, UNFOLLOWED, UNREADABLE, IdentityFollower
from agents.identities.owner import Owner
from agents.warnings import Warnings
from rules.state.identities import Claim
from tables.claims import encode_claim
from tables.store import RocksMemory

EMAIL = ("default", "email", "a@b.c")
NOW = 1_700_000_000_000


Headers = Sequence[tuple[str, bytes]]


class Topic:
    """Partition 0 of the topic of claims, and a consumer of it; ``gives`` records at a time."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, Headers]] = []
        self.gives = 100
        self.read_from: list[int] = []
        """Where readers began."""
        self.refusals = 0
        """So many times the broker refuses to say where the topic ends."""
        self._at = 0
        self._assigned: list[TopicPartition] = []

    def claim(self, user: str, time_ms: int, unset: bool = False) -> None:
        self.records.append((*encode_claim(Claim(*EMAIL, user, time_ms, unset)), ()))

    async def __aenter__(self) -> Topic:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._assigned = []

    def assign(self, tps: list[TopicPartition]) -> None:
        self._assigned = tps

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._at = offset
        self.read_from.append(offset)

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self.refusals:
            self.refusals -= 1
            raise TopicAuthorizationFailedError
        return dict.fromkeys(tps, len(self.records))

    async def position(self, tp: TopicPartition) -> int:
        return self._at

    def last_stable_offset(self, tp: TopicPartition) -> int:
        return len(self.records)

    def last_poll_timestamp(self, tp: TopicPartition) -> int:
        return NOW

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        start, self._at = self._at, min(len(self.records), self._at + self.gives)
        found = [
            SimpleNamespace(offset=at, key=key, value=value, headers=headers)
            for at, (key, value, headers) in enumerate(self.records[start : self._at], start)
        ]
        return {self._assigned[0]: found} if found else {}


@asynccontextmanager
async def following(
    topic: Topic,
    folder: Path,
    topic_id: bytes = b"one",
    now_ms: int = NOW,
    most_ms: int | None = None,
    owner: Owner | None = None,
) -> AsyncIterator[tuple[IdentityFollower, Warnings]]:
    warnings = Warnings()
    memory = RocksMemory.of(1 << 20, 1 << 20)
    consumer: Callable[[], Any] = lambda: topic  # noqa: E731
    clock = lambda: now_ms  # noqa: E731
    follower = IdentityFollower(consumer, "claims", topic_id, folder, memory, warnings, clock, most_ms, owner)
    task = asyncio.create_task(follower.run())
    try:
        yield follower, warnings
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_read(follower: IdentityFollower) -> None:
    follower.hold([0])
    async with asyncio.timeout(60):
        while follower.unread:
            await asyncio.sleep(0)


def holder(follower: IdentityFollower) -> str | None:
    found = follower.holders(0, [EMAIL])
    assert found is not None
    (one,) = found.holders
    return None if one is None else one.user_id


async def test_nothing_is_said_before_all_is_read(tmp_path: Path) -> None:
    topic = Topic()
    for at in range(5):
        topic.claim(f"u{at}", at)
    topic.gives = 0
    async with following(topic, tmp_path) as (follower, _):
        assert follower.holders(0, [EMAIL]) is None
        follower.hold([0])
        for _ in range(50):
            await asyncio.sleep(0)
        assert (follower.unread, follower.holders(0, [EMAIL])) == ([0], None)
        topic.gives = 2
        await until_read(follower)
        assert holder(follower) == "u4"
        found = follower.holders(0, [EMAIL])
        assert found is not None
        assert found.as_of_ms == NOW
        follower.hold([])
        async with asyncio.timeout(60):
            while follower.holders(0, [EMAIL]) is not None:
                await asyncio.sleep(0)


async def test_a_store_goes_on_where_it_was(tmp_path: Path) -> None:
    topic = Topic()
    topic.claim("ann", 1)
    async with following(topic, tmp_path) as (follower, _):
        await until_read(follower)
    topic.claim("bob", 2)
    async with following(topic, tmp_path) as (follower, _):
        await until_read(follower)
        assert holder(follower) == "bob"
        assert follower.collisions == 1
    assert topic.read_from == [0, 1]


@pytest.mark.parametrize("why", ["another topic", "a shorter topic", "long ago"])
async def test_a_store_that_may_lie_is_read_anew(tmp_path: Path, why: str) -> None:
    topic = Topic()
    topic.claim("ann", 1)
    topic.claim("bob", 2)
    async with following(topic, tmp_path) as (follower, _):
        await until_read(follower)
        assert holder(follower) == "bob"
    topic.records = topic.records[:1] if why == "a shorter topic" else [*topic.records[:1], (None, b"{}", ())]
    changed: dict[str, Any] = {
        "another topic": {"topic_id": b"two"},
        "a shorter topic": {},
        "long ago": {"now_ms": NOW + STALE_MS + 1},
    }[why]
    async with following(topic, tmp_path, **changed) as (follower, warnings):
        await until_read(follower)
        assert holder(follower) == "ann"
        told = [each.code for each in warnings.active()]
        assert told == ([] if why == "a shorter topic" else [UNREADABLE])
    assert topic.read_from == [0, 0]


async def test_what_is_too_old_is_not_said(tmp_path: Path) -> None:
    topic = Topic()
    topic.claim("ann", 1)
    async with following(topic, tmp_path, most_ms=500) as (follower, _):
        await until_read(follower)
        assert holder(follower) == "ann"
    async with following(topic, tmp_path, now_ms=NOW + 501, most_ms=500) as (follower, _):
        follower.hold([0])
        async with asyncio.timeout(60):
            while follower.collisions or topic.read_from != [0, 1]:
                await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert follower.holders(0, [EMAIL]) is None


async def test_a_topic_that_is_made_again_begins_anew(tmp_path: Path) -> None:
    topic = Topic()
    topic.claim("ann", 1)
    topic.claim("ann", 2)
    async with following(topic, tmp_path) as (follower, _):
        await until_read(follower)
        topic.records.clear()
        topic.claim("bob", 1)
        follower.begin_anew(b"two")
        async with asyncio.timeout(60):
            while follower.holders(0, [EMAIL]) is None or holder(follower) != "bob":
                await asyncio.sleep(0)
    assert topic.read_from == [0, 0]


async def test_while_kafka_refuses_it_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.identities.follower.RETRY_SECONDS", 0)
    topic = Topic()
    topic.claim("ann", 1)
    topic.refusals = 3
    async with following(topic, tmp_path) as (follower, warnings):
        follower.hold([0])
        async with asyncio.timeout(60):
            while topic.refusals:
                await asyncio.sleep(0)
        await until_read(follower)
        assert holder(follower) == "ann"
        assert (warnings.active(), warnings.totals) == ([], {UNFOLLOWED: 3})
