"""A followed changelog, read a few records at a time, says what the pipeline says at the same positions."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from msgspec import Raw

from agents.evaluate.pipeline import Pipeline
from agents.evaluate.question import Question
from agents.evaluate.steps import Limits
from agents.follow.followed import ChangelogReplaced, Followed
from agents.follow.view import View
from agents.kafka.placement import Place
from agents.restore.reading import Reading
from agents.topics.noted import taken_of
from agents.warnings import Warnings
from app.lookup.answers import as_object
from rules.decide.predict import predict_exit
from rules.state.row import Row
from tables.changelog.reader import ChangelogReader
from tables.codec import row_key
from tables.cut import Cut
from tables.memory_store import MemoryStore
from tables.meta import StoreMeta, decode_meta
from tables.profiles import Profiles
from tests.core.engines import native_engine
from tests.driver.driver import EVENTS, Driver, Rec
from tests.driver.kafka import TopicLog
from tests.driver.partition import CHANGELOG, members_by_index, members_of
from tests.strategies.fuzzing import usual

MINUTE_MS = 60_000
START_MS = 1_704_067_200_000
USERS = [f"u{number}" for number in range(6)]
ENGINE = native_engine()
DEFINITIONS = """
audiences:
  - {id: viewers, name: Viewers, rule: {event: view, within: 5m}}
  - {id: eager, name: Eager, rule: {event: view, count: {gte: 3}, within: 10m}}
  - {id: quiet, name: Quiet, rule: {not: {event: "*", within: 7m}}}
  - {id: gold, name: Gold, rule: {all: [{attribute: plan, eq: gold}, {event: view, within: 8m}]}}
"""


class Line:
    """A driver with one partition, everything that it took, and a store that follows its changelog."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.driver = Driver(DEFINITIONS, in_flight=random.randrange(3), cycle_steps=random.randint(1, 3))
        self.taken: list[Rec | int] = []
        """Records, and instants to which time passed."""
        self.records = 0
        self.store = MemoryStore()
        self.warnings = Warnings()
        self.followed = self.open()
        self.at_ms = START_MS
        self.model: Pipeline | None = None
        self.modelled, self.model_took = -1, 0

    def open(self) -> Followed:
        """Begin to follow, with what the store remembers."""
        value = self.store.meta()
        meta = decode_meta(value) if value is not None else StoreMeta(0, b"").indexed()
        changelog = ChangelogReader(meta.changelog_next, meta.checkpoint)
        store: Any = self.store
        self.followed = Followed.of(0, Reading(store, changelog, self.log.end, meta))
        self.view = View(Place(0, 1), self.store, Limits(), ENGINE)
        return self.followed

    @property
    def log(self) -> TopicLog:
        return self.driver.log(CHANGELOG, 0)

    def work(self, records: int) -> None:
        """Let the owner take some records, or time pass."""
        for _ in range(records):
            self.at_ms += self.random.randrange(2 * MINUTE_MS)
            name = self.random.choice(USERS)
            body: dict[str, object] = {"user_id": name, "event": "view", "id": str(self.records)}
            if self.random.random() < 0.3:
                plan = self.random.choice(["gold", "free"])
                body = {"type": "profile", "user_id": name, "set": {"plan": plan}}
            self.taken.append(self.driver.send(body, self.at_ms - self.random.choice([0, 0, 90_000])))
        self.driver.run(lambda: self.random.randint(1, 5))
        if self.random.random() < 0.3:
            self.taken.append(self.at_ms)
            self.driver.advance(self.at_ms)

    def read(self, records: int) -> None:
        """Follow so many records further."""
        log, position = self.driver.log(CHANGELOG, 0), self.followed.position
        found = [each for each in log.records if each.offset >= position][:records]
        if found:
            self.followed.take(found, log.end, self.warnings)
        else:
            self.followed.reach(log.end, log.end)

    def check(self) -> bool:
        """What the store says is what a pipeline says that took as much; False: it can't be asked."""
        checkpoint = self.followed.checkpoint
        if not self.followed.is_whole or checkpoint is None:
            return False
        self.view.stand_at(checkpoint, Cut(), self.driver.rules)
        position = taken_of(checkpoint, EVENTS, 0)[0]
        for name in USERS:
            row = self.view.profiles.read(row_key("default", name))
            applied = max([position, *(row.applied.values() if row is not None else ())])
            model = self._model(applied)
            at_ms = max(checkpoint.stream_time_ms, row.now_ms if row is not None else 0, model.stream_time_ms)
            said = _said(model, name, at_ms)
            assert _said(self.view, name, at_ms) == said, (name, applied, at_ms)
            assert _told(self.view, name, at_ms) in (None, said), (name, applied, at_ms)
        return True

    def _model(self, last: int) -> Pipeline:
        """What took all up to this offset; one that took less goes on, because all began with the same."""
        if self.model is None or last < self.modelled:
            self.model = Pipeline(Place(0, 1), Profiles(MemoryStore(), 1 << 20), Limits())
            self.model.define(self.driver.rules)
            self.modelled, self.model_took = -1, 0
        while self.modelled < last:
            each = self.taken[self.model_took]
            self.model_took += 1
            is_time = isinstance(each, int)
            self.model.acked(self.model.punctuate(each, 100) if is_time else self.model.apply([each]))
            self.modelled = self.modelled if is_time else each.offset
        return self.model


def _said(pipeline: Pipeline, name: str, at_ms: int) -> dict[str, tuple[int, int | None]]:
    row: Row | None = pipeline.look("default", name, at_ms)
    rules = pipeline.rules.project("default")
    if row is None:
        return {}
    return {
        rules.by_key[key].id: (row.since_ms(each), predict_exit(rules, rules.by_key[key], row, at_ms))
        for key, each in row.audiences.items()
        if each.inside
    }


def _told(view: View, name: str, at_ms: int) -> dict[str, tuple[int, int | None]] | None:
    """The same as the native core says it; None: there is none, or it can't tell."""
    told = view.tell_now(Question("default", None, at_ms), [name])
    if told is None:
        assert ENGINE.core is None or ENGINE.core.Asked is None or view.sweeping
        return None
    answer = as_object(Raw(told[0]))
    return {audience: (each.since_ms or 0, each.exit_at_ms) for audience, each in answer.memberships.items()}


@pytest.mark.parametrize("seed", range(usual(12)))
def test_a_store_says_at_its_checkpoint_what_its_owner_said(seed: int) -> None:
    line = Line(Random(seed))
    checked = 0
    for _ in range(40):
        line.work(line.random.randrange(4))
        if line.random.random() < 0.2:
            # Some records that others replace go, wherever the follower is.
            line.driver.log(CHANGELOG, 0).compact(lambda: line.random.random() < 0.7)
        if line.random.random() < 0.1:
            line.open()
        line.read(line.random.randint(1, 12))
        checked += line.check()
    while line.followed.position < line.driver.log(CHANGELOG, 0).end:
        line.read(5)
        checked += line.check()
    assert line.check()
    assert checked > 5
    rows = dict(line.store.scan(b"", 1_000))
    assert members_by_index(line.store) == members_of(rows)
    timers = [(row.timer_ms, key) for key, row in line.view.profiles.read_many(rows).items()]
    assert line.store.timers(0, 1 << 60, 1_000) == sorted(each for each in timers if each[0] is not None), (
        "the index of timers keeps those of rows that are no longer"
    )


def test_a_gap_makes_a_store_wait_until_everything_behind_it_is_read() -> None:
    line = Line(Random(1))
    line.work(10)
    line.read(1_000)
    assert line.check()
    line.work(20)
    line.driver.log(CHANGELOG, 0).compact()
    line.work(5)
    noted = line.driver.log(CHANGELOG, 0).end
    line.read(2)
    assert not line.followed.is_whole
    while line.followed.position < noted:
        assert not line.check()
        line.read(1)
    assert line.check()


def test_a_store_that_begins_again_waits_until_it_is_where_it_was() -> None:
    line = Line(Random(2))
    line.work(30)
    line.read(1_000)
    line.work(10)
    line.open()
    assert not line.check(), "its rows may be read once more, from before its checkpoint"
    line.read(1_000)
    assert line.check()


def test_a_changelog_that_goes_back_is_another_one() -> None:
    line = Line(Random(3))
    line.work(10)
    line.read(1_000)
    before = line.driver.log(CHANGELOG, 0)
    other = Line(Random(4))
    other.work(1)
    for each in other.driver.log(CHANGELOG, 0).records:
        before.records.append(type(each)(each.topic, 0, before.end, 0, each.key, each.value, each.headers))
        before.end += 1
    with pytest.raises(ChangelogReplaced, match="came after step"):
        line.read(1_000)
