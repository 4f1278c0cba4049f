"""The owner of claims, with failing writes and kills between: nothing of erased users stays on the topic."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from agents.identities.owner import OwnerOfClaims
from agents.registry.erasures import Erasures, receipt_of, receipt_record
from agents.registry.feed import Feed
from tables.claims import decode_key, decode_standing
from tables.erased import Erased, pseudonym
from tests.agents.identities.test_follower import Headers, Topic, following, until_read

ERASED_MS = 100


class Writer:
    """A producer of the topic. A send that fails may have reached it."""

    def __init__(self, topic: Topic, chance: Random) -> None:
        self._topic = topic
        self._chance = chance

    async def send(
        self, topic: str, value: bytes | None, key: bytes, partition: int, headers: Headers | None
    ) -> asyncio.Future[None]:
        await asyncio.sleep(0)
        is_failure = self._chance.random() < 0.3
        if not is_failure or self._chance.random() < 0.5:
            self._topic.records.append((key, value, headers or ()))
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if is_failure:
            sent.set_exception(KafkaTimeoutError())
        else:
            sent.set_result(None)
        return sent


def receipts() -> Feed[Erasures]:
    consumer: Any = None
    feed = Feed(consumer, Erasures("erasures"), "x")
    feed.loaded.set()
    return feed


def erase(feed: Feed[Erasures], user: str, offset: int) -> None:
    receipt = receipt_of(pseudonym(user.encode()), Erased(ERASED_MS, {}, {}, ["r"], "default", (0, 0)), 0)
    key, value = receipt_record(receipt)
    feed.take(SimpleNamespace(key=key, value=value, offset=offset))


def live(topic: Topic) -> set[tuple[str, int]]:
    """User and instant of what compaction leaves."""
    last = {key: value for key, value, _ in topic.records}
    return {
        (decode_key(key)[1], decode_standing(value).time_ms)
        for key, value in last.items()
        if value is not None
    }


@pytest.mark.parametrize("seed", range(4))
async def test_of_erased_users_only_what_they_claim_later_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("agents.identities.follower.RETRY_SECONDS", 0)
    monkeypatch.setattr("agents.identities.owner.PAGE", 2)
    chance, topic, feed = Random(seed), Topic(), receipts()
    topic.gives = chance.randrange(1, 4)
    writer: Any = Writer(topic, chance)
    users = [f"u{number}" for number in range(6)]
    for number, user in enumerate(users):
        topic.claim(user, number)
    erase(feed, "u0", 0)
    late = [("u1", 1, "u1"), ("u4", 150, "u2"), ("u1", 50, ""), ("u4", 4, ""), ("u2", 160, "")]
    wanted = {("u3", 3), ("u4", 150), ("u5", 5), ("u2", 160)}
    for number, (user, time_ms, erased) in enumerate(late, 1):
        owner = OwnerOfClaims(writer, "claims", feed)
        async with following(topic, tmp_path, owner=owner) as (follower, _):
            await until_read(follower)
            if erased:
                erase(feed, erased, number)
            for _ in range(chance.randrange(20)):
                await asyncio.sleep(0)
            topic.claim(user, time_ms)
            for _ in range(chance.randrange(20)):
                await asyncio.sleep(0)
    owner = OwnerOfClaims(writer, "claims", feed)
    async with following(topic, tmp_path, owner=owner) as (follower, _):
        follower.hold([0])
        async with asyncio.timeout(60):
            while live(topic) != wanted:
                await asyncio.sleep(0)
            for _ in range(500):  # all is looked at
                await asyncio.sleep(0)
            erase(feed, "u5", len(late) + 1)
            while live(topic) != wanted - {("u5", 5)}:
                await asyncio.sleep(0)
