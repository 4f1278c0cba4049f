"""What the HTTP side of a delivery worker answers with (docs/http.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from agents.deliver.permissions.audiences import lacking_audiences
from app.deliver.destination import Running
from app.deliver.metrics import lag_of
from app.http.answers import Instant, Readiness
from rules.compile.audience import PublishedAudience
from rules.time.instants import format_instant


class LastError(Struct, frozen=True):
    at: Instant
    error: str


class DestinationStatus(Struct, frozen=True, kw_only=True):
    """A destination and how its delivery goes; secrets in ``definition`` are references. ``lag``: records;
    null: not known. ``lacking_audiences``: ids that the definition names and that aren't published."""

    name: str
    kind: str
    version: int
    state: str
    unreachable_since: Instant | None
    partitions: list[int]
    lag: int | None
    in_hand: int
    delivered: int
    filtered: int
    backfilled: int
    requests: int
    retries: int
    unknown: int
    dead_letters: int
    expired: int
    last_success: Instant | None
    last_error: LastError | None
    lacking_audiences: list[str]
    definition: Mapping[str, object]


class DestinationStatuses(Struct, frozen=True):
    """``unreadable``: why a published definition can't be used, by name."""

    destinations: list[DestinationStatus]
    unreadable: Mapping[str, str]


class DeliverReadiness(Readiness, frozen=True, kw_only=True):
    unreadable_destinations: Mapping[str, str]


def status_of(running: Running, topic: str, audiences: Iterable[PublishedAudience]) -> DestinationStatus:
    """``topic``: that of the transitions. ``audiences``: those that are published."""
    report, destination = running.report, running.published.definition
    since_ms = running.unreachable_since_ms
    error_ms, success_ms = report.last_error_ms, report.last_success_ms
    return DestinationStatus(
        name=destination.name,
        kind=destination.kind,
        version=running.published.version,
        state=running.state,
        unreachable_since=None if since_ms is None else format_instant(since_ms),
        partitions=running.deliverer.partitions if running.deliverer is not None else [],
        lag=lag_of(running, topic) if since_ms is None else None,
        in_hand=report.in_hand,
        delivered=report.delivered,
        filtered=report.filtered,
        backfilled=report.backfilled,
        requests=report.requests,
        retries=report.retries,
        unknown=report.unknown,
        dead_letters=report.dead_letters,
        expired=report.expired,
        last_success=None if success_ms is None else format_instant(success_ms),
        last_error=None if error_ms is None else LastError(format_instant(error_ms), report.last_error or ""),
        lacking_audiences=lacking_audiences(destination, audiences),
        definition=destination.document,
    )
