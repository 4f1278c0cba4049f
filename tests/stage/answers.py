"""Whether an answer may be: a model of each user by what was sent, asked at the answer's own instants.

An answer names the instant ``at`` that time is decided up to, and ``records_as_of`` up to which all records
count; if it doesn't, they count up to ``at``. So it must be what the model says of the user's records up to
there, and perhaps some more of those that were sent meanwhile, at that instant.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from rules.time.instants import parse_instant
from tests.model.facts import Known
from tests.model.partition import Model

SOON_MS = 5
"""By so much instants of two processes on one machine may differ."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Sent:
    """A record of a user. ``acknowledged_ms`` None: not yet."""

    stamp_ms: int
    body: dict[str, Any]
    acknowledged_ms: int | None = None


@dataclass
class Asked:
    """What was so when a question was asked."""

    at_ms: int
    records: int
    """Of the user, that Kafka had acknowledged."""


@dataclass
class Judge:
    """``definitions``: the audiences of each version of them. ``edited`` is the audience that differs in
    them; it may be decided by any of them that is published.

    ``grace_ms``: so long a record may be on its way to Kafka. Of whom one was longer nothing is checked from
    then on, because only the owner knows when it counted."""

    definitions: list[list[dict[str, Any]]]
    edited: str
    grace_ms: int
    most_behind_ms: int
    published: int = 1
    """How many versions there may be."""
    sent: dict[str, list[Sent]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    _models: dict[tuple[str, int, int], Model] = field(default_factory=dict)

    def ask(self, user_id: str) -> Asked:
        records = self.sent.get(user_id, ())
        return Asked(now_ms(), sum(each.acknowledged_ms is not None for each in records))

    def check(self, user_id: str, asked: Asked, answer: Mapping[str, Any], by: str) -> None:
        """``answer``: ``at`` or ``as_of``, and the audiences with their ``since``. Raises AssertionError."""
        at_ms = parse_instant(answer["at"])
        records_ms = min(at_ms, parse_instant(answer.get("records_as_of", answer["at"])))
        said = f"{by} said of {user_id}, asked at {asked.at_ms}: {answer}"
        assert at_ms <= now_ms() + SOON_MS, f"an instant that hasn't come: {said}"
        if answer.get("reader"):
            assert at_ms + answer["behind_ms"] >= asked.at_ms - SOON_MS, f"older than it says: {said}"
            assert answer["behind_ms"] <= self.most_behind_ms, f"too old to be told: {said}"
        records = self.sent.get(user_id, [])
        if any((each.acknowledged_ms or now_ms()) - each.stamp_ms > self.grace_ms for each in records):
            self.answers["not checked"] += 1
            return
        known = records[: asked.records]
        least = sum(each.stamp_ms <= records_ms for each in known)
        fitting = [each for each in range(least, len(records) + 1) if self._is_before(records, each, at_ms)]
        told = {each: parse_instant(since) for each, since in answer["audiences"].items()}
        models = [(count, version) for version in range(self.published) for count in fitting]
        assert any(self._is_same(told, self._members(user_id, *each, at_ms)) for each in models), (
            f"{said}\nrecords up to {records_ms}: {least} of {len(records)}, by "
            f"{[(each.stamp_ms, each.acknowledged_ms) for each in records]}; the model says one of "
            f"{[self._members(user_id, *each, at_ms) for each in models]}"
        )
        self.answers[f"{by}, as a reader" if answer.get("reader") else by] += 1

    def _is_before(self, records: list[Sent], count: int, at_ms: int) -> bool:
        return count == 0 or records[count - 1].stamp_ms <= at_ms

    def _is_same(self, told: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
        """The edited audience's members may have come before the history that was read."""
        if told.keys() != wanted.keys():
            return False
        return all(told[each] == wanted[each] for each in wanted if each != self.edited)

    def _members(self, user_id: str, count: int, version: int, at_ms: int) -> dict[str, int]:
        return self._model(user_id, count, version).members(user_id, at_ms)

    def _model(self, user_id: str, count: int, version: int) -> Model:
        """Of one user, with the first ``count`` records."""
        key = user_id, count, version
        if key not in self._models:
            if count == 0:
                made = Model(self.definitions[version])
            else:
                made = copy(self._model(user_id, count - 1, version))
                made.users = {each: _copy(known) for each, known in made.users.items()}
                made.expected, made.erased = {}, {}
                sent = self.sent[user_id][count - 1]
                made.record(sent.body, sent.stamp_ms)
            self._models[key] = made
        return self._models[key]


def _copy(known: Known) -> Known:
    made = known.if_nothing_happens()
    made.events, made.versions, made.applied_ids = [*known.events], [*known.versions], {**known.applied_ids}
    return made
