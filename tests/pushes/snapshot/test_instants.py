"""Lists at instants within steps: who was in then, whatever the step did before and after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from agents.follow.followed import Followed
from agents.kafka.consumed import Consumed
from agents.pushes.contract.member import Member
from agents.pushes.snapshot.hold import Hold
from agents.pushes.snapshot.membership import Deciding
from agents.pushes.snapshot.reading import read_members
from agents.pushes.snapshot.undone import InstantPassed
from agents.restore.reading import Reading
from agents.warnings import Warnings
from tables.changelog.reader import ChangelogReader
from tables.meta import StoreMeta
from tables.store import RocksMemory, RocksStore
from tests.driver.driver import Driver
from tests.driver.partition import CHANGELOG
from tests.strategies.fuzzing import usual

DEFINITIONS = """
audiences:
  - {id: brief, name: Brief, rule: {event: view, within: 3s}}
  - {id: quiet, name: Quiet, rule: {not: {event: "*", within: 2s}}}
  - {id: often, name: Often, rule: {event: view, count: {gte: 2}, within: 5s}}
"""
ROCKS = RocksMemory.of(8 << 20, 8 << 20)
START_MS = 1_704_067_200_000
TRIALS = usual(60)


def made_log(random: Random) -> Driver:
    """A log of users who come and go, in steps of many records, so that instants lie within steps."""
    driver = Driver(DEFINITIONS, behind_rows=1000)
    driver.compacts = lambda: False
    now_ms = START_MS
    for _ in range(60):
        for _ in range(random.randint(1, 25)):
            now_ms += random.choice((0, 1, 40, 300, 900))
            user = f"u{random.randrange(9)}"
            body = {"user_id": user, "event": random.choice(("view", "view", "buy"))}
            driver.send(body, now_ms, key=user.encode())
        driver.run(lambda: random.randint(1, 25))
        if random.random() < 0.3:
            now_ms += random.randint(1, 4_000)
            driver.advance(now_ms, random.randint(1, 5))
    return driver


def records_of(driver: Driver) -> list[Consumed]:
    log: Any = driver.log(CHANGELOG, 0)
    return [
        Consumed(CHANGELOG, 0, each.offset, 0, each.key, each.value, list(each.headers))
        for each in log.records
    ]


def members_at(transitions: Sequence[dict[str, Any]], audience: str, instant_ms: int) -> set[str]:
    inside: set[str] = set()
    of_audience = [each for each in transitions if each["audience"] == audience]
    for each in sorted(of_audience, key=lambda each: (each["user_id"], each["seq"])):
        if round(datetime.fromisoformat(each["at"]).timestamp() * 1000) <= instant_ms:
            (inside.add if each["event"] == "enter" else inside.discard)(each["user_id"])
    return inside


@pytest.mark.parametrize("seed", range(3))
def test_a_list_is_who_was_in_at_its_instant_wherever_in_a_step_that_is(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    driver = made_log(random)
    records = records_of(driver)
    checked = 0
    for trial in range(TRIALS):
        store = RocksStore(tmp_path / str(trial), ROCKS)
        try:
            checked += asyncio.run(one_list(driver, records, store, random))
        finally:
            store.close()
    assert checked > TRIALS // 3


async def one_list(driver: Driver, records: list[Consumed], store: RocksStore, random: Random) -> bool:
    """Whether a list could be made."""
    reading = Reading(store, ChangelogReader(), len(records), StoreMeta(0, b"", b""))
    followed, hold, warnings = Followed(0, reading, 0), Hold(), Warnings()
    begin = random.randrange(1, len(records) - 1)
    assert hold.admit(followed, records[:begin]) == begin
    followed.take(records[:begin], len(records), warnings)
    checkpoint = reading.changelog.checkpoint
    if checkpoint is None:
        return False
    audience = random.choice(("brief", "quiet", "often"))
    least_ms = max(checkpoint.stream_time_ms, hold.least_ms())
    instant_ms = least_ms + random.choice((0, 1, 200, 1_500, 4_000))
    hold.begin("default", audience, instant_ms, [0])
    at = begin
    while at < len(records) and not hold.is_shut(0):
        polled = records[at : at + random.randint(1, 40)]
        count = hold.admit(followed, polled)
        followed.take(polled[:count], len(records), warnings)
        at += count
    if not hold.is_shut(0):
        return False
    assert hold.admit(followed, records[at : at + 5]) == 0
    rules = driver.rules.project("default")
    compiled = rules.by_id(audience)
    assert compiled is not None
    deciding = Deciding(rules, compiled, instant_ms, hold.undone(0), wants_exit=random.random() < 0.5)
    found: list[Member] = []
    try:
        await hold.all_past({})
        async for page in read_members(store, deciding, list[Member]):
            found += page
    except InstantPassed:
        return False
    users = [each.user_id for each in found]
    assert sorted(users) == sorted(members_at(driver.transitions, audience, instant_ms))
    assert all(each.since_ms <= instant_ms for each in found)
    return True
