"""What a reader counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agents.warnings import Warnings
from app.http.warnings import WarningsCollector


class ReaderMetrics:
    """The reader's metrics in a registry of their own. Lookups are counted under the worker's names."""

    def __init__(self, warnings: Warnings) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(WarningsCollector(warnings))
        self.partitions = Gauge(
            "turnstile_reader_partitions", "Partitions that can be asked here.", registry=self.registry
        )
        self.identities = Gauge(
            "turnstile_reader_identity_partitions",
            "Partitions of the identities that can be asked here.",
            registry=self.registry,
        )
        self.behind = Gauge(
            "turnstile_reader_behind_seconds",
            "How old an answer of a partition would be now.",
            ["partition"],
            registry=self.registry,
        )
        self.lag = Gauge(
            "turnstile_reader_lag_records",
            "Records of the changelog that aren't read yet.",
            ["partition"],
            registry=self.registry,
        )
        self.asked_owner = Counter(
            "turnstile_reader_asked_owner",
            "Requests of which a worker was asked, because the reader doesn't hold what they need.",
            registry=self.registry,
        )
        self.refused = Counter(
            "turnstile_reader_refused",
            "Requests that were refused because the answer would have been too old.",
            registry=self.registry,
        )
        self.ready = Gauge("turnstile_ready", "1 when lookups are answered.", registry=self.registry)
        self.lookup_seconds = Histogram(
            "turnstile_lookup_seconds",
            "Time to answer a lookup.",
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self.lookups = Counter(
            "turnstile_lookups", "HTTP lookups.", ["route", "status"], registry=self.registry
        )
