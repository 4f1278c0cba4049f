"""The HTTP side of a process that answers about what it does, such as a delivery worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from agents.warnings import Warnings
from app.http.answers import Readiness
from app.http.api_keys import KeyRing
from app.http.base import Health, HttpBase
from app.http.rate_limits import rate_limits_of
from app.http.routes import Route
from app.http.tls import certificate_of
from app.http.warnings import WarningsCollector
from app.settings.listener import ListenerSettings
from app.settings.tree import Settings


class Process(Protocol):
    """What is needed of it. ``crashed``: why it ends, if that isn't because it was asked to."""

    settings: Settings
    warnings: Warnings
    keys: KeyRing

    @property
    def crashed(self) -> BaseException | None: ...


def http_of(
    process: Process,
    section: str,
    listener: ListenerSettings,
    routes: Sequence[Route],
    collector: Collector,
    readiness: Callable[[], Readiness],
    not_ready: Callable[[], list[str]],
) -> HttpBase:
    """``section``: where the settings of the listener are."""
    registry, http = CollectorRegistry(), process.settings.http
    registry.register(collector)
    registry.register(WarningsCollector(process.warnings))
    return HttpBase(
        section,
        listener,
        process.keys,
        Health(lambda: process.crashed is None, not_ready, readiness, registry, process.warnings),
        routes,
        certificate=certificate_of(http, process.warnings),
        limits=rate_limits_of(http),
    )
