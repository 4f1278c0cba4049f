"""What must come out of a log, and whether it did."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits, Step
from agents.evaluate.transitions import encode_transition
from agents.kafka.placement import Place, partition_of
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import RuleSet, compile_rules
from rules.parse.definitions import load_definitions
from rules.time.instants import format_instant
from tables.codec import decode_row, split_row_key
from tables.profiles import Profiles
from tables.store import MemoryStore
from tests.driver.driver import Rec
from tests.stage.log import Log

SHOWN = 5


def rules_of(definitions: str, version: int = 1) -> RuleSet:
    audiences = load_definitions([("test.yaml", definitions)])
    return compile_rules([PublishedAudience(each, version) for each in audiences])


REFERENCE_RECORDS = 20
"""In one step, which takes two thirds of the time that records one by one do."""


class Reference:
    """Python's pipeline over every partition of a log, a few records after the others, never interrupted."""

    def __init__(self, log: Log, definitions: str, topic: str, until_ms: int) -> None:
        self.rules = rules_of(definitions)
        self.until_ms = until_ms
        self.bodies: dict[str, bytes] = {}
        self.dead = 0
        partitions = len(log.parts)
        self._pipelines = [self._pipeline(number, partitions) for number in range(partitions)]
        for number, (pipeline, lines) in enumerate(zip(self._pipelines, log.parts, strict=True)):
            records = [
                Rec(topic, number, offset, line.timestamp, line.key, line.value)
                for offset, line in enumerate(lines)
            ]
            for start in range(0, len(records), REFERENCE_RECORDS):
                self._acknowledge(pipeline, pipeline.apply(records[start : start + REFERENCE_RECORDS]))
            self._acknowledge(pipeline, pipeline.punctuate(until_ms, 1000))
            while pipeline.overdue:
                self._acknowledge(pipeline, pipeline.punctuate(until_ms, 1000))

    def _pipeline(self, number: int, partitions: int) -> Pipeline:
        pipeline = Pipeline(Place(number, partitions), Profiles(MemoryStore(), 1 << 40), Limits())
        pipeline.define(self.rules)
        return pipeline

    def _acknowledge(self, pipeline: Pipeline, step: Step) -> None:
        for transition in step.transitions:
            body = encode_transition(transition)[0]
            assert self.bodies.setdefault(json.loads(body)["id"], body) is body
        self.dead += len(step.dead)
        pipeline.acked(step)
        pipeline.profiles.durable(step.staged)

    def members(self) -> dict[str, list[str]]:
        """Of each audience the users who are in it at the end, by partition and key, as the rows say."""
        found: dict[str, list[str]] = {each.id: [] for each in self.rules.project("default").audiences}
        by_key = self.rules.project("default").by_key
        for pipeline in self._pipelines:
            pipeline.profiles.flush()
            for key, value in pipeline.profiles.store.scan(b"", 1 << 40):
                project, user_id = split_row_key(key)
                for audience, membership in decode_row(value).audiences.items():
                    if project == "default" and membership.inside:
                        found[by_key[audience].id].append(user_id)
        return found

    def audiences(self, user_id: str, at_ms: int = 0) -> dict[str, str]:
        """The audiences the user is in at an instant, at the end or later, each with the instant of entry."""
        pipeline = self._pipelines[partition_of(user_id, len(self._pipelines))]
        row = pipeline.look("default", user_id, max(at_ms, self.until_ms))
        if row is None:
            return {}
        project = self.rules.project("default")
        return {
            each.id: format_instant(row.since_ms(row.audiences[each.key]))
            for each in project.audiences
            if each.key in row.audiences and row.audiences[each.key].inside
        }


@dataclass
class Outcome:
    """A transitions topic, read to its end: the first copy of each transition, and how many were repeats."""

    bodies: dict[str, bytes] = field(default_factory=dict)
    repeats: int = 0
    last_seq: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def add(self, records: Iterable[Any]) -> None:
        """Check each record against those before it: repeats are equal, numbers go up by one."""
        for record in records:
            body = json.loads(record.value)
            headers = dict(record.headers)
            assert headers["ce_id"].decode() == body["id"]
            assert headers["ce_type"].decode() == f"turnstile.audience.{body['event']}"
            assert record.key.decode() == body["user_id"]
            first = self.bodies.get(body["id"])
            if first is not None:
                self.repeats += 1
                assert first == record.value, f"sent again with another body:\n{first!r}\n{record.value!r}"
                continue
            self.bodies[body["id"]] = record.value
            name = body["project"], body["user_id"], body["audience"]
            seq = self.last_seq.get(name, 0) + 1
            assert body["seq"] == seq, f"{name}: number {body['seq']} came where {seq} must come: {body}"
            assert body["event"] == ("enter" if seq % 2 else "exit"), body
            self.last_seq[name] = seq


def assert_same(outcome: Outcome, expected: dict[str, bytes]) -> None:
    """Every expected transition came, with this very body, and no other."""
    missing = [expected[each] for each in expected.keys() - outcome.bodies.keys()]
    surplus = [outcome.bodies[each] for each in outcome.bodies.keys() - expected.keys()]
    different = [
        (expected[each], outcome.bodies[each])
        for each in expected.keys() & outcome.bodies.keys()
        if expected[each] != outcome.bodies[each]
    ]
    is_same = not missing and not surplus and not different
    assert is_same, (
        f"{len(missing)} missing of {len(expected)}, {len(surplus)} too many, {len(different)} differ\n"
        f"missing: {_some(missing)}\ntoo many: {_some(surplus)}\ndifferent: {_some(different)}"
    )


def assert_same_order(outcome: Outcome, expected: dict[str, bytes]) -> None:
    """Each user's transitions came (first) in the order in which they happened."""
    ours, theirs = _by_user(outcome.bodies), _by_user(expected)
    wrong = [name for name, ids in theirs.items() if ours.get(name) != ids]
    assert not wrong, f"{len(wrong)} users with another order: {wrong[:SHOWN]}"


def _by_user(bodies: dict[str, bytes]) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for each, body in bodies.items():
        users.setdefault(json.loads(body)["user_id"], []).append(each)
    return users


def _some(items: Sequence[object]) -> str:
    return "\n  ".join(str(each) for each in sorted(items, key=str)[:SHOWN])
