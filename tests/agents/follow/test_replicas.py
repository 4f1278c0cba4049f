"""How old a reader's answers are: an idle owner is told from a dead one by the ends of the sources."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition

from agents.backfill.versions.catalog import Catalog
from agents.evaluate.native.engine import Engine
from agents.evaluate.steps import Limits
from agents.follow.followed import Followed
from agents.follow.replicas import Replicas, Standing, TooFarBehind
from agents.follow.source_ends import STILL_SECONDS, Seen, SourceEnds
from agents.follow.view import RowElsewhere
from agents.restore.reading import Reading
from rules.compile.audience import PublishedAudience
from rules.parse.definitions import load_definitions
from rules.state.row import Row
from tables.changelog.reader import ChangelogReader
from tables.codec import CHECKPOINT_KEY, Checkpoint, encode_checkpoint, encode_row, source_key
from tables.cut import CUT_KEY, Cut, encode_cut
from tables.memory_store import MemoryStore
from tables.meta import StoreMeta
from tests.driver.kafka import Stored

EVENTS = TopicPartition("events", 0)
NOW_MS = 1_790_000_000_000
GRACE_MS = 500
(EVER,) = load_definitions([("a.yaml", "audiences: [{id: ever, name: Ever, rule: {event: view}}]")])
CATALOG = Catalog({"default/ever": {1: PublishedAudience(EVER, 1)}}, {"default/ever": 1})


class Lab:
    """One replica, its changelog by hand, and the ends of its one source."""

    def __init__(self) -> None:
        self.wall_ms = NOW_MS
        nobody: Any = None
        self.ends = SourceEnds(nobody, lambda: self.wall_ms)
        self.replicas = Replicas(
            1, lambda _: [EVENTS], Limits(), self.ends, lambda: self.wall_ms, GRACE_MS, 10_000, Engine()
        )
        self.store = MemoryStore()
        store: Any = self.store
        reading = Reading(store, ChangelogReader(), 0, StoreMeta(0, b"").indexed())
        self.followed = Followed.of(0, reading)
        self.warnings: Any = None
        self.offset = 0

    def write(self, key: bytes, value: bytes) -> None:
        record = Stored("changelog", 0, self.offset, 0, key, value, ())
        self.offset += 1
        self.followed.take([record], self.offset, self.warnings)
        self.replicas.changed(self.followed)

    def cut(self, **changed: Any) -> None:
        self.write(CUT_KEY, encode_cut(Cut(active={"default/ever": 1}, **changed)))

    def checkpoint(self, stream_time_ms: int, taken: int, swept: str = "", step: int = 1) -> None:
        rules = CATALOG.rules({"default/ever": 1})
        positions = {source_key(EVENTS.topic, EVENTS.partition): taken}
        found = Checkpoint(step, step, stream_time_ms, swept or rules.fingerprint, 1, positions)
        self.write(CHECKPOINT_KEY, encode_checkpoint(found))

    def told(self, end: int) -> None:
        self.ends.seen = Seen(self.wall_ms, {EVENTS: end})
        self.replicas.ends_told()

    def standing(self) -> Standing:
        found = self.replicas.standing(0)
        assert found is not None
        return found

    def as_of_ms(self) -> int | None:
        standing = self.replicas.standing(0)
        return None if standing is None else standing.as_of_ms


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    made.replicas.define(CATALOG)
    yield made
    loop.close()


async def test_while_the_owner_has_all_the_answers_follow_the_wall_clock(lab: Lab) -> None:
    lab.cut()
    lab.checkpoint(NOW_MS - 3_000, taken=6)
    assert lab.as_of_ms() == NOW_MS - 3_000
    lab.told(end=7)
    assert lab.as_of_ms() == NOW_MS - GRACE_MS
    lab.wall_ms += 2_000
    lab.told(end=8)
    assert lab.as_of_ms() == NOW_MS - GRACE_MS, "a record waits: what was known stays known, and no more"
    assert lab.standing().behind_ms == 2_000 + GRACE_MS
    lab.checkpoint(NOW_MS + 100, taken=7, step=2)
    assert lab.as_of_ms() == NOW_MS + 2_000 - GRACE_MS


async def test_an_answer_that_would_be_too_old_is_refused(lab: Lab) -> None:
    lab.cut()
    lab.checkpoint(NOW_MS - 9_000, taken=6)
    assert lab.as_of_ms() == NOW_MS - 9_000
    lab.wall_ms += 2_000
    with pytest.raises(TooFarBehind, match=r"11\.0 s behind in partition 0"):
        lab.replicas.standing(0)


async def test_a_source_that_nobody_knows_the_end_of_proves_nothing(lab: Lab) -> None:
    lab.cut()
    lab.checkpoint(NOW_MS - 3_000, taken=6)
    lab.ends.seen = Seen(NOW_MS, {})
    lab.replicas.ends_told()
    assert lab.as_of_ms() == NOW_MS - 3_000


async def test_versions_that_the_definitions_topic_has_not_brought_yet_are_waited_for(lab: Lab) -> None:
    lab.replicas.define(Catalog({}, {}))
    lab.cut()
    lab.checkpoint(NOW_MS - 3_000, taken=6)
    assert lab.as_of_ms() is None
    lab.replicas.define(CATALOG)
    assert lab.as_of_ms() == NOW_MS - 3_000


async def test_while_a_partition_is_grafted_rows_of_an_older_epoch_are_the_owners(lab: Lab) -> None:
    lab.cut(epoch=2, shadow="s1")
    lab.checkpoint(NOW_MS - 3_000, taken=6, swept="before")
    lab.write(b"old", encode_row(Row(NOW_MS - 4_000, base_ms=NOW_MS - 4_000, epoch=1)))
    lab.write(b"new", encode_row(Row(NOW_MS - 4_000, base_ms=NOW_MS - 4_000, epoch=2)))
    view = lab.standing().view
    assert view.look("default", "new", NOW_MS) is not None
    for name in ("old", "unknown"):
        with pytest.raises(RowElsewhere):
            view.look("default", name, NOW_MS)
    lab.checkpoint(NOW_MS - 2_000, taken=6, step=2)
    view = lab.standing().view
    assert view.look("default", "old", NOW_MS) is not None
    assert view.look("default", "unknown", NOW_MS) is None


async def test_offsets_without_a_record_are_taken_by_nobody(lab: Lab) -> None:
    lab.cut()
    lab.checkpoint(NOW_MS - 3_000, taken=6)
    lab.told(end=9)
    assert lab.as_of_ms() == NOW_MS - 3_000
    await asyncio.sleep(0)
    consumer: Any = MarkersOnly()
    known = lab.ends._lacking[EVENTS]
    lab.ends._lacking[EVENTS] = (*known[:2], known[2] - STILL_SECONDS)
    await lab.ends._probe(consumer)
    lab.told(end=9)
    assert lab.as_of_ms() == NOW_MS - GRACE_MS


class MarkersOnly:
    """A consumer of a partition whose end holds the markers of transactions."""

    def assign(self, _: object) -> None: ...

    def seek(self, _: object, offset: int) -> None:
        assert offset == 7

    async def getmany(self, *_: object, **__: object) -> dict[TopicPartition, list[object]]:
        return {}

    async def position(self, _: object) -> int:
        return 9

    def unsubscribe(self) -> None: ...
