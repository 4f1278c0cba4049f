"""Metrics of pushes, made of the ledger: counters never fall, and what is late or fails can be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from agents.kafka.consumed import Consumed
from agents.pushes.contract.parse import load_pushes
from agents.pushes.engine.book import Book
from agents.pushes.published import PublishedPush, Pushes
from agents.pushes.runs import Ledger, Run, State
from agents.registry.leading import NotedRecord
from app.pushes.metrics import PushCollector, overdue_ms

LABELS = {"project": "default", "push": "p", "connection": "c"}
DEFINITION = b'{"name": "p", "audience": "a", "connection": "c"}'


def published(schedule: str = "hourly", at_ms: int = 0) -> PublishedPush:
    (push,) = load_pushes([("p", f"{{name: p, audience: a, connection: c, schedule: {schedule}}}")])
    return Pushes("t").plan([push], at_ms)[0].published


def run_of(id: str, state: State, at_ms: int, code: str = "", rows: int = 0) -> Run:
    ended_ms = at_ms if state in ("delivered", "confirmed", "failed", "skipped") else None
    return Run(
        id,
        "default",
        "p",
        1,
        1,
        msgspec.Raw(DEFINITION),
        "schedule",
        at_ms,
        state,
        at_ms,
        at_ms,
        code=code,
        ended_ms=ended_ms,
        rows=rows,
        bytes=10 * rows,
    )


class Metrics:
    """A ledger, and what is told of it."""

    def __init__(self) -> None:
        self.ledger = Ledger("t")
        self._offset = 0
        self._registry = CollectorRegistry()
        pushes = Pushes("t")
        pushes.published["default/p"] = published()
        self._registry.register(PushCollector(pushes, lambda: self.ledger, lambda: True))
        self.book = Book(self.ledger, self._write, lambda: 0)

    async def _write(self, records: Sequence[NotedRecord]) -> None:
        for key, value in records:
            self.ledger.take(Consumed("t", 0, self._offset, 0, key, value, []))
            self._offset += 1

    def note(self, *runs: Run) -> None:
        asyncio.run(self.book.note(runs))

    def forget(self, *runs: Run) -> None:
        asyncio.run(self.book.forget(runs))

    def told(self, name: str, **labels: str) -> float | None:
        return self._registry.get_sample_value(name, LABELS | labels)


def test_counters_stay_when_runs_leave_the_ledger_and_when_they_are_confirmed() -> None:
    metrics = Metrics()
    good, bad = run_of("a", "delivered", 1, rows=7), run_of("b", "failed", 2, "refused")
    metrics.note(good, bad, run_of("c", "queued", 3))

    def counted() -> list[float | None]:
        delivered = metrics.told("turnstile_push_runs_total", state="delivered", code="")
        failed = metrics.told("turnstile_push_runs_total", state="failed", code="refused")
        return [
            delivered,
            failed,
            *map(metrics.told, ("turnstile_push_rows_total", "turnstile_push_bytes_total")),
        ]

    assert counted() == [1, 1, 7, 70]
    metrics.note(run_of("a", "confirmed", 1, rows=7))
    assert (counted(), metrics.told("turnstile_push_confirmed_total")) == ([1, 1, 7, 70], 1)
    metrics.forget(metrics.book.runs["a"], bad)
    assert (counted(), metrics.told("turnstile_push_confirmed_total")) == ([1, 1, 7, 70], 1)
    metrics.book = Book(metrics.ledger, metrics._write, lambda: 0)
    again = run_of("d", "delivered", 4, rows=1)
    metrics.note(again)
    metrics.forget(again)
    assert counted() == [2, 1, 8, 80]
    assert metrics.told("turnstile_push_runs_under_way", state="queued") == 1


def test_a_push_fails_until_a_list_is_delivered_and_what_is_skipped_makes_no_difference() -> None:
    metrics = Metrics()
    assert metrics.told("turnstile_push_failing") == 0
    metrics.note(run_of("a", "delivered", 1), run_of("b", "failed", 2), run_of("c", "skipped", 3))
    assert metrics.told("turnstile_push_failing") == 1
    metrics.note(run_of("d", "delivered", 4))
    assert metrics.told("turnstile_push_failing") == 0


@pytest.mark.parametrize(
    ("schedule", "late_ms"),
    [
        ("hourly", 600_000),
        ("{every: hourly, start: 1970-01-01T02:00:00Z}", 0),
        ("once", 4_200_000),
        ("{every: once, start: 1970-01-01T01:00:00Z}", 600_000),
        ("once, enabled: false", 0),
    ],
)
def test_a_time_without_a_run_is_overdue_from_its_instant_on(schedule: str, late_ms: int) -> None:
    assert overdue_ms(published(schedule), [], None, 4_200_000) == late_ms
