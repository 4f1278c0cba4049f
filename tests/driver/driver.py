"""A test driver in the manner of Kafka Streams' TopologyTestDriver: the real pipeline, time by hand.

Kafka is in memory (``tests.driver.kafka``); everything else is what the worker runs: ``Pipeline``, the
committer, recovery, and a store (in memory, or RocksDB in a directory). ``crash_after`` ends the process
before any write: a record to a topic, a change of the store, the ack of the source. ``restart`` recovers, and
then come the records after the committed offsets.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from msgspec import Raw

from agents.evaluate.commits import Committer
from agents.evaluate.native.engine import Engine
from agents.evaluate.native.pipeline import NativePipeline
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.question import Question
from agents.evaluate.steps import DeadLetter, Limits, Step
from agents.kafka.placement import ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC, partition_of
from agents.kafka.topic_limits import LARGE_MESSAGE_BYTES
from agents.topics.written import WrittenTopics
from app.lookup.answers import UserLookedUp, as_shown
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import RuleSet, compile_rules
from rules.compile.with_destinations import NO_EVENT_DESTINATIONS
from rules.decide.predict import predict_exit
from rules.parse.definitions import load_definitions
from tests.driver.kafka import Headers, Producer, Stored, TopicLog
from tests.driver.partition import (
    CHANGELOG,
    DEAD_LETTERS,
    EVENTS,
    IDENTITIES,
    REPARTITION,
    TRANSITIONS,
    Crash,
    Part,
    Rec,
    Until,
    Which,
    letters_name,
)

__all__ = ["EVENTS", "REPARTITION", "Crash", "Driver", "Rec", "Until", "ruleset"]


def ruleset(definitions: str, max_samples: int = 1000, version: int = 1, created_ms: int = 0) -> RuleSet:
    audiences = load_definitions([("test.yaml", definitions)], max_samples)
    return compile_rules(
        [PublishedAudience(each, version, created_ms=created_ms) for each in audiences], max_samples
    )


def wanted_engine() -> Engine:
    """Of drivers that don't say otherwise."""
    return Engine(Driver.wanted)


class Driver:
    """``partitions`` of one table. Look at ``transitions``, ``dead``, ``members``."""

    wanted: ClassVar[Any] = os.environ.get("TURNSTILE_TEST_ENGINE", "auto")
    """Which engine computes, as in the setting ``worker.engine``; ``tests/driver/engines.py`` changes it."""

    def __init__(
        self,
        definitions: str,
        *,
        partitions: int = 1,
        directory: Path | None = None,
        limits: Limits | None = None,
        cache_rows: int = 1000,
        behind_rows: int = 7,
        in_flight: int = 0,
        cycle_steps: int = 1,
        outbox_bytes: int | None = None,
        changelog_bytes: int = LARGE_MESSAGE_BYTES,
        max_samples: int = 1000,
        created_ms: int = 0,
        engine: Callable[[], Engine] = wanted_engine,
    ) -> None:
        self.engine = engine
        """Asked at each start of a partition."""
        self.rules = ruleset(definitions, max_samples, created_ms=created_ms)
        self.limits = limits or Limits()
        self.cache_rows = cache_rows
        self.behind_rows = behind_rows
        self.in_flight = in_flight
        self.cycle_steps = cycle_steps
        """So many steps are committed at once, those of a partition after one another."""
        self.outbox_bytes = outbox_bytes
        """Outboxes go in chunks as if the changelog took no larger records, whatever it takes."""
        self.notes = False
        """Note after each ``run`` what is acknowledged, as a worker does when it is idle."""
        self.adopt: Callable[[Pipeline], None] = self._adopt
        """Gives a recovered pipeline its rules."""
        self.destinations = NO_EVENT_DESTINATIONS
        """Those that get events. Partitions know them from the next start on."""
        self.steady = True
        """Definitions stay, so that a restart has nothing to sweep."""
        self.compacts: Callable[[], bool] = lambda: True
        """Asked for each record that compaction may take."""
        self.transitions: list[dict[str, Any]] = []
        """Bodies in the order they came out first; a copy sent again must be equal to the first."""
        self.sent: dict[str, bytes] = {}
        self.sent_headers: list[tuple[int, bytes | None, Headers]] = []
        """Timestamp, key and headers of each transition that came out."""
        self.sent_again = 0
        self.claims: list[tuple[int, bytes | None, bytes | None]] = []
        """Of identities, with the partition, as they came out: some again after a crash."""
        self.last_seq: dict[tuple[str, str, str], int] = {}
        self.dead: list[DeadLetter] = []
        self.repartitioned = 0
        self.repeated = 0
        self.writes_left: int | None = None
        self.latest_ms: int | None = None
        """The latest timestamp that a record may have: what a wall clock says."""
        self.dead_to_come: dict[Which, DeadLetter] = {}
        self._logs: dict[tuple[str, int], TopicLog] = {}
        self.topics = WrittenTopics(
            CHANGELOG, TRANSITIONS, REPARTITION, partitions, partitions, changelog_bytes=changelog_bytes
        )
        self.producer = Producer(self.log, self.write, {CHANGELOG: changelog_bytes})
        producer: Any = self.producer
        self.committer = Committer(producer, self.topics, self)
        self.parts: list[Part] = []
        for number in range(partitions):
            self.parts.append(Part(self, number, directory))

    def _adopt(self, pipeline: Pipeline) -> None:
        pipeline.define(self.rules)
        pipeline.send(self.destinations)

    # -- in ----------------------------------------------------------------------------------------------

    def send(
        self,
        value: bytes | Mapping[str, Any] | None,
        at_ms: int,
        *,
        key: bytes | None = None,
        partition: int = 0,
        topic: str = EVENTS,
        headers: Headers = (),
    ) -> Rec:
        """A record at the end of a log; ``run`` takes it."""
        if isinstance(value, Mapping):
            value = json.dumps(value).encode()
        log = self.log(topic, partition)
        record = Rec(topic, partition, log.end, at_ms, key, value, headers)
        log.end += 1
        self.parts[partition].inbox.append(record)
        return record

    def track(
        self, user_id: str, event: str, at_ms: int, *, partition: int | None = None, **rest: Any
    ) -> Rec:
        body = {"user_id": user_id, "event": event, **rest}
        return self.pipe(body, at_ms, key=user_id.encode(), partition=self._place(user_id, partition))

    def profile(self, user_id: str, at_ms: int, *, partition: int | None = None, **rest: Any) -> Rec:
        body = {"type": "profile", "user_id": user_id, **rest}
        return self.pipe(body, at_ms, key=user_id.encode(), partition=self._place(user_id, partition))

    def pipe(self, value: bytes | Mapping[str, Any] | None, at_ms: int, **where: Any) -> Rec:
        """A record at the end of a log, evaluated and made durable."""
        record = self.send(value, at_ms, **where)
        self.run()
        return record

    def run(self, batch: Callable[[], int] = lambda: 500) -> None:
        """Take everything that waits, in batches of this size."""
        taken = [True]
        while any(taken):
            taken = [part.take(batch()) for part in self.parts]
        self.flush()

    def advance(self, to_ms: int, limit: int = 500) -> None:
        for part in self.parts:
            part.inbox.append(Until(to_ms, limit))
        self.run()

    def flush(self) -> None:
        for part in self.parts:
            part.commit_all()

    def commit_offsets(self) -> None:
        for part in self.parts:
            part.commit_offsets()

    # -- crashes -----------------------------------------------------------------------------------------

    def crash_after(self, writes: int) -> None:
        self.writes_left = writes

    def write(self) -> None:
        """Called before each write; the crash comes instead of it."""
        if self.writes_left is not None:
            if self.writes_left == 0:
                self.writes_left = None
                raise Crash
            self.writes_left -= 1

    def restart(self, *, lose_store: bool = False, compact: bool = False, chunk: int = 1000) -> None:
        """The process begins again; ``run`` then takes the records whose offsets were not committed."""
        for part in self.parts:
            part.restart(lose_store, compact, chunk)

    # -- what the committer and recovery wrote -----------------------------------------------------------

    def log(self, topic: str, partition: int) -> TopicLog:
        return self._logs.setdefault((topic, partition), TopicLog())

    def step_done(self, partition: int, step: Step, seconds: float) -> None:
        """The committer counts."""

    def deliver(self) -> None:
        """Take what is new on the output topics to where it belongs."""
        for (topic, partition), log in list(self._logs.items()):
            if topic == CHANGELOG:
                continue
            records, log.records = log.records, []
            for each in records:
                if topic == TRANSITIONS:
                    assert each.value is not None
                    self.emit(each.value)
                    self.sent_headers.append((each.timestamp, each.key, each.headers))
                elif topic == IDENTITIES:
                    self.claims.append((partition, each.key, each.value))
                elif topic == REPARTITION:
                    self.repartitioned += 1
                    record = Rec(
                        topic, partition, each.offset, each.timestamp, each.key, each.value, each.headers
                    )
                    self.parts[partition].inbox.append(record)
                elif topic.endswith(DEAD_LETTERS):
                    letter = self.dead_to_come[_which(each)]
                    if letters_name(letter) not in map(letters_name, self.dead):
                        self.dead.append(letter)

    def emit(self, value: bytes) -> None:
        body = json.loads(value)
        if body["id"] in self.sent:
            assert self.sent[body["id"]] == value, "a transition was sent again with another body"
            self.sent_again += 1
        else:
            destination = body.get("destination")
            name = body["project"], f"to {destination}" if destination else body["audience"], body["user_id"]
            assert body["seq"] == self.last_seq.get(name, 0) + 1, f"a transition is missing before {body}"
            self.last_seq[name] = body["seq"]
            self.sent[body["id"]] = value
            self.transitions.append(body)

    # -- out ---------------------------------------------------------------------------------------------

    def story(self, user_id: str) -> list[tuple[str, str, str, str]]:
        """(enter or exit, audience, at, cause) of a user's transitions."""
        mine = [each for each in self.transitions if each["user_id"] == user_id]
        return [(each["event"], each["audience"], each["at"], each["cause"]) for each in mine]

    def members(self, user_id: str, at_ms: int, project: str = "default") -> dict[str, int]:
        """The audiences that the user is in at an instant, with the instant of entry."""
        pipeline = self.parts[self._place(user_id, None)].pipeline
        row = pipeline.look(project, user_id, at_ms)
        by_key = self.rules.project(project).by_key
        if row is None:
            return {}
        audiences = row.audiences.items()
        return {by_key[key].id: row.since_ms(each) for key, each in audiences if each.inside}

    def told(self, user_id: str, at_ms: int) -> UserLookedUp | None:
        """What a lookup of all audiences tells of a user; None: the native core isn't asked."""
        pipeline = self.parts[self._place(user_id, None)].pipeline
        if not isinstance(pipeline, NativePipeline):
            return None
        told = asyncio.run(pipeline.tell(Question("default", None, at_ms), [user_id]))
        return None if told is None else as_shown(Raw(told[0]))

    def exits(self, user_id: str, at_ms: int) -> dict[str, int | None]:
        """When the user leaves the audiences that the user is in at an instant."""
        pipeline = self.parts[self._place(user_id, None)].pipeline
        row, rules = pipeline.look("default", user_id, at_ms), self.rules.project("default")
        if row is None:
            return {}
        then_ms = max(at_ms, row.now_ms, pipeline.stream_time_ms)
        return {
            each.id: predict_exit(rules, each, row, then_ms)
            for each in rules.audiences
            if row.is_in(each.key)
        }

    def codes(self) -> list[str]:
        return [each.code for each in self.dead]

    @property
    def pipeline(self) -> Pipeline:
        return self.parts[0].pipeline

    def _place(self, user_id: str, partition: int | None) -> int:
        return partition_of(user_id, len(self.parts)) if partition is None else partition


def _which(letter: Stored) -> Which:
    """Of a dead letter as it was sent: the last headers are ours."""
    found = dict(letter.headers)
    return (
        found[ORIGIN_TOPIC].decode(),
        int(found[ORIGIN_PARTITION]),
        int(found[ORIGIN_OFFSET]),
        found["error.code"].decode(),
        letter.value,
    )
