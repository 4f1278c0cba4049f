"""Prometheus metrics of pushes, made of the ledger when they are asked for: every process has all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from agents.pushes.due import first_due_ms
from agents.pushes.published import PublishedPush
from agents.pushes.runs import GOOD, Ledger, Run, last_due_ms
from app.pushes.topic import now_ms

LABELS = ["project", "push", "connection"]


class PushCollector(Collector):
    """Counts are of the runs that the ledger keeps."""

    def __init__(
        self,
        published: Callable[[], Mapping[str, PublishedPush]],
        ledger: Callable[[], Ledger],
        leads: Callable[[], bool],
    ) -> None:
        self._published = published
        self._ledger = ledger
        self._leads = leads

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        yield GaugeMetricFamily("turnstile_push_leads", "1 where runs are carried out.", float(self._leads()))
        by_push: dict[str, list[Run]] = {}
        for run in self._ledger().runs:
            by_push.setdefault(run.push_key, []).append(run)
        runs = CounterMetricFamily(
            "turnstile_push_runs",
            "Runs of pushes, by what became of them.",
            labels=[*LABELS, "state", "code"],
        )
        rows = CounterMetricFamily("turnstile_push_rows", "Ids that were delivered.", labels=LABELS)
        size = CounterMetricFamily("turnstile_push_bytes", "Bytes that were delivered.", labels=LABELS)
        good = GaugeMetricFamily(
            "turnstile_push_last_good_seconds", "When a list of the push was last delivered.", labels=LABELS
        )
        behind = GaugeMetricFamily(
            "turnstile_push_overdue_seconds",
            "For how long the oldest time of the push's schedule has had no list.",
            labels=LABELS,
        )
        for key, published in sorted(self._published().items()):
            if published.deleted:
                continue
            push, found = published.push, by_push.get(key, [])
            labels = [push.project, push.name, push.connection]
            for (state, code), count in Counter((each.state, each.code) for each in found).items():
                runs.add_metric([*labels, state, code], count)
            delivered = [each for each in found if each.state in GOOD]
            rows.add_metric(labels, sum(each.rows for each in delivered))
            size.add_metric(labels, sum(each.bytes for each in delivered))
            if delivered:
                good.add_metric(labels, max(each.ended_ms or 0 for each in delivered) / 1000)
            behind.add_metric(labels, overdue_ms(published, found, now_ms()) / 1000)
        yield from (runs, rows, size, good, behind)


def overdue_ms(published: PublishedPush, runs: list[Run], at_ms: int) -> int:
    """How long a time of the schedule waits for its list; 0: none does."""
    waiting = [each.due_ms for each in runs if not each.is_done]
    first_ms = first_due_ms(published.push, published.scheduled_ms, last_due_ms(runs, published.generation))
    if published.push.enabled and first_ms is not None:
        waiting.append(first_ms)
    return max(0, at_ms - min(waiting, default=at_ms))
