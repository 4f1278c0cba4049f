"""Prometheus metrics of pushes, made of the ledger when they are asked for: every process has all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from agents.pushes.due import first_due_ms
from agents.pushes.published import PublishedPush, Pushes
from agents.pushes.runs import DONE, GOOD, Ledger, Run, State
from app.publish.named.changes import now_ms

LABELS: Final = ["project", "push", "connection"]
UNDER_WAY: Final = tuple(each for each in get_args(State) if each not in DONE)


class PushCollector(Collector):
    """Counters never fall: runs that left the ledger are in its totals."""

    def __init__(
        self,
        pushes: Pushes,
        ledger: Callable[[], Ledger],
        leads: Callable[[], bool],
    ) -> None:
        self._pushes = pushes
        self._ledger = ledger
        self._leads = leads

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        yield GaugeMetricFamily("turnstile_push_leads", "1 where runs are carried out.", float(self._leads()))
        ledger, at_ms = self._ledger(), now_ms()
        families = Families()
        for published in self._pushes.live():
            families.add(published, ledger, at_ms)
        yield from families.all


class Families:
    """The metrics of all pushes."""

    def __init__(self) -> None:
        self._runs = CounterMetricFamily(
            "turnstile_push_runs",
            "Runs of pushes that are over, by what became of them; confirmed ones were delivered.",
            labels=[*LABELS, "state", "code"],
        )
        self._confirmed = CounterMetricFamily(
            "turnstile_push_confirmed", "Lists that their readers confirmed.", labels=LABELS
        )
        self._rows = CounterMetricFamily("turnstile_push_rows", "Ids that were delivered.", labels=LABELS)
        self._bytes = CounterMetricFamily("turnstile_push_bytes", "Bytes that were delivered.", labels=LABELS)
        self._under_way = GaugeMetricFamily(
            "turnstile_push_runs_under_way", "Runs that aren't over.", labels=[*LABELS, "state"]
        )
        self._good = GaugeMetricFamily(
            "turnstile_push_last_good_seconds", "When a list of the push was last delivered.", labels=LABELS
        )
        self._failing = GaugeMetricFamily(
            "turnstile_push_failing", "1 where the last run that was carried out failed.", labels=LABELS
        )
        self._overdue = GaugeMetricFamily(
            "turnstile_push_overdue_seconds",
            "For how long the oldest time of the push's schedule has waited for a run that is over.",
            labels=LABELS,
        )

    @property
    def all(self) -> tuple[Any, ...]:
        counters = (self._runs, self._confirmed, self._rows, self._bytes)
        return (*counters, self._under_way, self._good, self._failing, self._overdue)

    def add(self, published: PublishedPush, ledger: Ledger, at_ms: int) -> None:
        """Of one push."""
        push = published.definition
        labels = [push.project, push.name, push.connection]
        runs = ledger.index.of_push(push.key)
        forgotten = ledger.totals(push.project, push.name)
        totals = forgotten.with_runs(runs)
        for name, count in sorted(totals.runs.items()):
            state, _, code = name.partition("/")
            self._runs.add_metric([*labels, state, code], count)
        self._confirmed.add_metric(labels, totals.confirmed)
        self._rows.add_metric(labels, totals.rows)
        self._bytes.add_metric(labels, totals.bytes)
        under_way = Counter(each.state for each in runs if not each.is_done)
        for state in UNDER_WAY:
            self._under_way.add_metric([*labels, state], under_way[state])
        good_ms = [each.ended_ms or 0 for each in runs if each.state in GOOD]
        if good_ms:
            self._good.add_metric(labels, max(good_ms) / 1000)
        self._failing.add_metric(labels, float(is_failing(runs)))
        last_ms = ledger.index.last_due_ms(push.key, published.generation)
        self._overdue.add_metric(labels, overdue_ms(published, runs, last_ms, at_ms) / 1000)


def is_failing(runs: Sequence[Run]) -> bool:
    """Whether the last run that came to an end of its own failed."""
    ended = [each for each in runs if each.state == "failed" or each.state in GOOD]
    return bool(ended) and max(ended, key=lambda each: each.ended_ms or 0).state == "failed"


def overdue_ms(published: PublishedPush, runs: Sequence[Run], last_ms: int | None, at_ms: int) -> int:
    """How long a time of the schedule waits for a run that is over; 0: none does. ``last_ms``: the last time
    that has a run."""
    waiting = [each.due_ms for each in runs if not each.is_done]
    first_ms = first_due_ms(published.definition, published.scheduled_ms, last_ms)
    if published.definition.enabled and first_ms is not None:
        waiting.append(first_ms)
    return max(0, at_ms - min(waiting, default=at_ms))
