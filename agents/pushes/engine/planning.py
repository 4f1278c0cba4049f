"""Which runs there are to be: of schedules, and of what somebody asks for. It does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec.structs import replace

from agents.pushes.due import due_time
from agents.pushes.engine.book import Book
from agents.pushes.published import PublishedPush
from agents.pushes.runs import Request, Run, Trigger, run_id
from rules.time.instants import format_instant

MOST_BEHIND_MS: Final = 30_000
"""So long a request waits for the definition that it means: the ledger may be read before that is."""


@dataclass(slots=True)
class Planned:
    """Runs to note, requests that are answered by that, and runs that are to be given up."""

    runs: list[Run] = field(default_factory=list)
    answered: list[Request] = field(default_factory=list)
    cancelled: list[Run] = field(default_factory=list)


def due_runs(pushes: Mapping[str, PublishedPush], book: Book) -> list[Run]:
    """The runs that schedules ask for now."""
    found = []
    for published in pushes.values():
        if published.deleted or not published.definition.enabled:
            continue
        last_ms = book.index.last_due_ms(published.definition.key, published.generation)
        due = due_time(
            published.definition,
            published.scheduled_ms,
            last_ms,
            book.now_ms(),
        )
        if due is None:
            continue
        run = _run(published, "schedule", due.due_ms, due.due_ms, book.now_ms())
        if due.times > 1:
            run = replace(run, times=due.times, told=(f"{due.times} times of the schedule became one run",))
        found.append(_skipped(run, published, book, due.is_skipped))
    return found


def _skipped(run: Run, published: PublishedPush, book: Book, is_missed: bool) -> Run:
    """The run, or a note that it isn't carried out."""
    reason = ""
    unfinished = [each for each in book.unfinished if each.push_key == run.push_key]
    if is_missed:
        reason = "the time was missed: no process was there"
    elif unfinished and published.definition.schedule.overlap == "skip":
        reason = f"run {unfinished[0].id} was still under way"
    elif any(each.state == "queued" and each.trigger == "schedule" for each in unfinished):
        reason = "an earlier run of the schedule still waits"
    return replace(run, state="skipped", reason=reason, ended_ms=run.created_ms) if reason else run


def asked_runs(pushes: Mapping[str, PublishedPush], book: Book) -> Planned:
    """What comes of the requests."""
    planned = Planned()
    for request in sorted(book.requests.values(), key=lambda each: (each.at_ms, each.id)):
        run = book.runs.get(request.run)
        if request.action == "run":
            published = pushes.get(f"{request.project}/{request.push}")
            if _is_to_come(published, request) and book.now_ms() - request.at_ms < MOST_BEHIND_MS:
                continue
            if published is not None and not published.deleted:
                planned.runs.append(_run(published, "manual", request.id, request.at_ms, book.now_ms()))
        elif run is None or run.push_key != f"{request.project}/{request.push}":
            pass  # it was taken off the ledger meanwhile
        elif request.action == "repush":
            planned.runs.append(_again(run, request, book.now_ms()))
        elif request.action == "cancel":
            if not run.is_done:
                planned.cancelled.append(run)
                continue  # it stays asked for until the run is over, whatever happens to this process
        elif request.list in ("", run.list_id):
            if run.state == "delivering":
                continue  # its reader is faster than the note that it was delivered
            if run.state == "delivered":
                planned.runs.append(_confirmed(run, book.now_ms()))
        planned.answered.append(request)
    return planned


def _is_to_come(published: PublishedPush | None, request: Request) -> bool:
    """Whether the definition that the request means isn't read here yet."""
    return published is None or published.version < request.version


def _confirmed(run: Run, now_ms: int) -> Run:
    told = (*run.told, f"confirmed at {format_instant(now_ms)}")
    return replace(run, state="confirmed", changed_ms=now_ms, told=told)


def _run(published: PublishedPush, trigger: Trigger, due: int | str, due_ms: int, now_ms: int) -> Run:
    push = published.definition
    return Run(
        id=run_id(push.project, push.name, published.generation, due),
        project=push.project,
        push=push.name,
        generation=published.generation,
        version=published.version,
        definition=msgspec.Raw(msgspec.json.encode(push.document)),
        trigger=trigger,
        due_ms=due_ms,
        state="queued",
        created_ms=now_ms,
        changed_ms=now_ms,
    )


def _again(run: Run, request: Request, now_ms: int) -> Run:
    """The same push as it was then, once more."""
    return Run(
        id=run_id(run.project, run.push, run.generation, request.id),
        project=run.project,
        push=run.push,
        generation=run.generation,
        version=run.version,
        definition=run.definition,
        trigger="repush",
        due_ms=request.at_ms,
        state="queued",
        created_ms=now_ms,
        changed_ms=now_ms,
        queue=run.queue,
        of=run.id,
    )
