"""The pipeline without Kafka: a file of records in, transitions out (docs/contracts.md, section 4)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO

from agents.estimate.daily import Daily
from agents.evaluate.native.engine import Engine
from agents.evaluate.steps import Limits, Step
from agents.evaluate.transitions import encode_transition
from agents.formats.refused import RecordRefused
from agents.kafka.placement import Place
from app.simulate.lines import TOPIC, LineRecord, line_record
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.model.language import Audience
from rules.state.row import Transition
from tables.store import MemoryStore

CACHE_ROWS = 1 << 40
"""All rows: they are in memory anyhow."""
STEP_USERS = 1000


@dataclass(slots=True)
class Summary:
    """What a simulation did. ``records`` counts bad ones, too; ``entered`` and ``left`` are by (project,
    audience)."""

    records: int = 0
    transitions: int = 0
    bad: int = 0
    seconds: float = 0.0
    repeats: int = 0
    """Events whose id the user had sent before."""
    dropped_samples: int = 0
    dropped_ids: int = 0
    begin_ms: int = 0
    """Timestamp of the first good record."""
    at_ms: int = 0
    """The instant at which it ended."""
    entered: Counter[tuple[str, str]] = field(default_factory=Counter)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)


BadLine = Callable[[int, str, str], None]
"""Gets (line number, code, message)."""


class Simulation:
    """One run. Transitions go to ``out`` as JSON lines; ``bad_line`` gets what can't be used, in line order.

    ``chunk`` records make one step, for speed; what comes out is the same for any number. ``created_ms`` is
    the instant at which audiences with ``schedule: once`` are computed; 0: they never are. ``engine`` None:
    Python.
    """

    def __init__(
        self,
        audiences: Iterable[Audience],
        out: IO[bytes],
        bad_line: BadLine,
        limits: Limits | None = None,
        max_samples: int = 1000,
        chunk: int = 1000,
        created_ms: int = 0,
        engine: Engine | None = None,
    ) -> None:
        self.summary = Summary()
        self._out = out
        self._bad_line = bad_line
        self._limits = limits or Limits()
        self._chunk = chunk
        audiences = list(audiences)
        self.daily = {(each.project, each.id): Daily(each.timezone) for each in audiences}
        """Sizes by day, by (project, audience)."""
        self._bad: list[tuple[int, str, str]] = []
        self._engine = engine = engine or Engine()
        self._pipeline = engine.pipeline(Place(0, 1), MemoryStore(), self._limits, CACHE_ROWS)
        published = [PublishedAudience(audience, 1, created_ms=created_ms) for audience in audiences]
        rules = compile_rules(published, max_samples)
        self._pipeline.define(rules)
        self._conditions = [
            each for project in rules.projects.values() for each in project.conditions.values()
        ]

    def run(self, lines: Iterable[bytes], until_ms: int | None = None) -> Summary:
        """Take all lines, then let the clock go to ``until_ms`` (None: it stays at the last record's)."""
        started = time.monotonic()
        batch: list[LineRecord] = []
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            self.summary.records += 1
            record = self._record(number, line)
            if record is not None:
                self.summary.begin_ms = self.summary.begin_ms or record.timestamp
                batch.append(record)
            if len(batch) == self._chunk:
                self._take(batch)
                batch = []
        self._take(batch)
        if until_ms is not None:
            self._write(self._pass(until_ms))
        self.summary.at_ms = self._pipeline.stream_time_ms
        in_python = sum(each.dropped_samples for each in self._conditions)
        self.summary.dropped_samples = in_python + self._engine.dropped_samples
        self.summary.seconds = time.monotonic() - started
        return self.summary

    def _record(self, number: int, line: bytes) -> LineRecord | None:
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            return line_record(number - 1, line, self._limits.formats.get(TOPIC))
        except RecordRefused as refusal:
            self._bad.append((number, refusal.code, str(refusal)))
            return None

    def _take(self, batch: Sequence[LineRecord]) -> None:
        """Apply records, fire what their time has passed, and write what both give."""
        found = self._acknowledge(self._pipeline.apply(batch)) if batch else []
        self._write(found + self._pass(self._pipeline.stream_time_ms))
        for bad in sorted(self._bad):
            self._bad_line(*bad)
        self.summary.bad += len(self._bad)
        self._bad.clear()

    def _pass(self, to_ms: int) -> list[Transition]:
        """Let the clock go on; what changes before it."""
        found: list[Transition] = []
        while True:
            found += self._acknowledge(self._pipeline.punctuate(to_ms, STEP_USERS))
            if not self._pipeline.overdue:
                return found

    def _acknowledge(self, step: Step) -> list[Transition]:
        """The step's transitions, taken as if Kafka and the store had acknowledged everything at once."""
        for letter in step.dead:
            self._bad.append((letter.record.offset + 1, letter.code, letter.message))
        self.summary.repeats += step.counts.repeated
        self.summary.dropped_ids += step.counts.ids_dropped
        self._pipeline.acked(step)
        self._pipeline.profiles.durable(step.staged)
        return list(step.transitions)

    def _write(self, transitions: list[Transition]) -> None:
        """Write in order of time; at one instant, those by records first, as they came.

        Nothing that comes later is earlier: all timers before the clock have been fired.
        """
        transitions.sort(key=_in_time)
        self._out.writelines(encode_transition(each)[0] + b"\n" for each in transitions)
        self.summary.transitions += len(transitions)
        for each in transitions:
            counts = self.summary.entered if each.is_enter else self.summary.left
            counts[each.project, each.audience] += 1
            self.daily[each.project, each.audience].add(each.at_ms, each.is_enter)


def _in_time(transition: Transition) -> tuple[int, str, str]:
    """Order between users; what one user has stays as it came, because sorting is stable."""
    if transition.cause != "time":
        return transition.at_ms, "", ""
    return transition.at_ms, transition.project, transition.user_id
