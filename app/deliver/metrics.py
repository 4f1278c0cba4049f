"""Prometheus metrics of delivery, read from the destinations' reports when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from faust.types import TP
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.deliver.destination import Running
from app.deliver.served import Deliveries

COUNTERS = (
    ("delivered", "turnstile_delivery_transitions", "Transitions that destinations have taken."),
    ("filtered", "turnstile_delivery_filtered", "Transitions that destinations don't want."),
    ("requests", "turnstile_delivery_requests", "Batches sent."),
    ("retries", "turnstile_delivery_retries", "Transitions sent again."),
    ("unknown", "turnstile_delivery_unknown", "Sends whose outcome is not known; they were sent again."),
    ("dead_letters", "turnstile_delivery_dead_letters", "Transitions in dead letters."),
    ("backfilled", "turnstile_delivery_backfilled", "Current members that were sent first."),
    ("expired", "turnstile_delivery_expired", "Transitions that retention took before they were sent."),
)


class DeliveryCollector(Collector):
    """All destinations of one process."""

    def __init__(self, service: Deliveries) -> None:
        self._service = service

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        yield from self._notices()
        running = sorted(self._service.running.items())
        for attribute, name, text in COUNTERS:
            counter = CounterMetricFamily(name, text, labels=["destination"])
            for destination, each in running:
                counter.add_metric([destination], getattr(each.report, attribute))
            yield counter
        topic = self._service.plan.transitions
        up = GaugeMetricFamily(
            "turnstile_delivery_up", "1 while the destination takes what is sent.", labels=["destination"]
        )
        lag = GaugeMetricFamily(
            "turnstile_delivery_lag_records",
            "Records between the committed offset and the end of the log.",
            labels=["destination"],
        )
        in_hand = GaugeMetricFamily(
            "turnstile_delivery_in_hand", "Messages read and not delivered yet.", labels=["destination"]
        )
        success = GaugeMetricFamily(
            "turnstile_delivery_last_success_seconds",
            "When the destination last took a message.",
            labels=["destination"],
        )
        for destination, each in running:
            up.add_metric([destination], float(each.state == "running"))
            in_hand.add_metric([destination], each.report.in_hand)
            behind = lag_of(each, topic) if each.unreachable_since_ms is None else None
            if behind is not None:
                lag.add_metric([destination], behind)
            if each.report.last_success_ms is not None:
                success.add_metric([destination], each.report.last_success_ms / 1000)
        yield from (up, lag, in_hand, success)

    def _notices(self) -> Iterator[Any]:
        notices = self._service.notices
        if notices is None:
            return
        told = CounterMetricFamily(
            "turnstile_notices", "Notices, by what became of them.", labels=["outcome"]
        )
        for outcome, count in notices.told.outcomes.items():
            told.add_metric([outcome], count)
        yield told
        yield CounterMetricFamily(
            "turnstile_notices_retries",
            "Notices that weren't taken and are sent again.",
            notices.told.retries,
        )


def lag_of(running: Running, topic: str) -> int | None:
    """Records of this process's partitions that aren't committed; None: not known yet."""
    if running.app is None or running.deliverer is None or not running.deliverer.partitions:
        return None
    consumer: Any = running.app.consumer
    each = [consumer.lag(TP(topic, partition)) for partition in running.deliverer.partitions]
    return None if any(lag is None for lag in each) else sum(each)
