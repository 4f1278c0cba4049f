"""What a reader counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from agents.warnings import Warnings
from app.lookup.metrics import LookupMetrics


class ReaderMetrics(LookupMetrics):
    """The reader's metrics."""

    def __init__(self, warnings: Warnings) -> None:
        super().__init__(warnings, "1 when lookups are answered.")
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
