"""What every process counts that answers lookups, for Prometheus: the same names for workers and readers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agents.warnings import Warnings
from app.http.warnings import WarningsCollector


class LookupMetrics:
    """In a registry of their own. ``ready`` says when a process is ready."""

    def __init__(self, warnings: Warnings, ready: str) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(WarningsCollector(warnings))
        self.ready = Gauge("turnstile_ready", ready, registry=self.registry)
        self.lookup_seconds = Histogram(
            "turnstile_lookup_seconds",
            "Time to answer a lookup.",
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self.lookups = Counter(
            "turnstile_lookups", "HTTP lookups.", ["route", "status"], registry=self.registry
        )
