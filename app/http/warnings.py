"""Warnings as ``/readyz?verbose`` and ``/metrics`` show them, on the worker and on the delivery worker."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.warnings import Warnings
from app.http.answers import ShownWarning
from rules.time.instants import format_instant


def shown_warnings(warnings: Warnings) -> list[ShownWarning]:
    return [
        ShownWarning(
            each.code,
            each.place,
            each.text,
            each.count,
            format_instant(each.first_ms),
            format_instant(each.last_ms),
        )
        for each in warnings.active()
    ]


class WarningsCollector(Collector):
    """``turnstile_warnings_total`` by code: what ``/readyz?verbose`` shows in words."""

    def __init__(self, warnings: Warnings) -> None:
        self._warnings = warnings

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        text = "Warnings by code; /readyz?verbose shows them in words."
        counter = CounterMetricFamily("turnstile_warnings", text, labels=["code"])
        for code, count in sorted(self._warnings.totals.items()):
            counter.add_metric([code], count)
        yield counter
