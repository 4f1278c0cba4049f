"""What a process of pushes answers with over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from agents.pushes.due import next_due_ms
from agents.pushes.published import PublishedPush
from agents.pushes.runs import Ledger, Run
from app.http.answers import Instant, Readiness
from rules.time.instants import format_instant


class RunStatus(Struct, frozen=True, kw_only=True):
    """A run. ``rows`` is the sum of ``by_id``: ids that are pushed; ``delivered_rows`` how many the
    target has taken so far. ``list``: id of the list, null before there is one."""

    id: str
    project: str
    push: str
    version: int
    trigger: str
    of: str | None
    state: str
    code: str | None
    reason: str | None
    queue: str
    due: Instant
    created: Instant
    started: Instant | None
    ended: Instant | None
    instant: Instant | None
    list: str | None
    members: int
    rows: int
    delivered_rows: int
    by_id: Mapping[str, int]
    without: Mapping[str, int]
    refused: Mapping[str, int]
    places: tuple[str, ...]
    checksum: str | None
    told: tuple[str, ...]


class RunStatuses(Struct, frozen=True):
    """The latest first."""

    runs: list[RunStatus]
    next: Annotated[str | None, Meta(description="`after` of the next page; null: there is none")] = None


class PushStatus(Struct, frozen=True, kw_only=True):
    """A push. ``next``: the next time of its schedule; null: none."""

    name: str
    project: str
    version: int
    next: Instant | None
    last_run: RunStatus | None
    definition: Mapping[str, Any]


class PushStatuses(Struct, frozen=True):
    pushes: list[PushStatus]


class AskedRun(Struct, frozen=True):
    """The run that will be, or that is meant."""

    run: str


class Confirmation(Struct, frozen=True, forbid_unknown_fields=True):
    """``list``: id of the list that its reader has taken."""

    list: str


class PushReadiness(Readiness, frozen=True, kw_only=True):
    """``leads``: this process carries runs out."""

    leads: bool


def run_status(run: Run) -> RunStatus:
    return RunStatus(
        id=run.id,
        project=run.project,
        push=run.push,
        version=run.version,
        trigger=run.trigger,
        of=run.of or None,
        state=run.state,
        code=run.code or None,
        reason=run.reason or None,
        queue=run.queue,
        due=format_instant(run.due_ms),
        created=format_instant(run.created_ms),
        started=_instant(run.started_ms),
        ended=_instant(run.ended_ms),
        instant=_instant(run.instant_ms),
        list=run.list_id or None,
        members=run.members,
        rows=run.rows,
        delivered_rows=run.delivered_rows,
        by_id=run.by_id,
        without=run.without,
        refused=run.refused,
        places=run.places,
        checksum=run.checksum or None,
        told=run.told,
    )


def push_status(published: PublishedPush, ledger: Ledger, now_ms: int) -> PushStatus:
    push = published.definition
    runs = ledger.index.of_push(push.key)
    last_ms = ledger.index.last_due_ms(push.key, published.generation)
    return PushStatus(
        name=push.name,
        project=push.project,
        version=published.version,
        next=_instant(next_due_ms(push, published.scheduled_ms, last_ms, now_ms)),
        last_run=run_status(runs[-1]) if runs else None,
        definition=msgspec.json.decode(msgspec.json.encode(push.document)),
    )


def _instant(ms: int | None) -> Instant | None:
    return None if ms is None else format_instant(ms)
