"""A run as people see it."""

from __future__ import annotations

from collections.abc import Iterator

from agents.pushes.runs import Run
from rules.time.instants import format_instant


def lines_of(run: Run) -> Iterator[tuple[str, str]]:
    """What and how much, in the order of what happened."""
    yield "run", run.id
    yield "push", f"{run.push_key}, version {run.version}"
    yield "trigger", run.trigger if not run.of else f"{run.trigger} of {run.of}"
    for what, at_ms in (("due", run.due_ms), ("started", run.started_ms), ("ended", run.ended_ms)):
        if at_ms is not None:
            yield what, format_instant(at_ms)
    yield "queue", run.queue
    yield "state", run.state
    if run.code:
        yield "code", run.code
    if run.reason:
        yield "reason", run.reason
    if run.instant_ms is not None:
        yield "list", run.list_id
        yield "instant", format_instant(run.instant_ms)
        yield "members", str(run.members)
        yield "ids", str(run.rows)
    for name, count in run.by_id.items():
        yield f"ids {name}", str(count)
    for name, count in run.without.items():
        yield f"without {name}", str(count)
    for name, count in run.refused.items():
        yield "refused", f"{count}: {name}"
    yield "delivered", str(run.delivered_rows)
    for place in run.places:
        yield "place", place
    if run.checksum:
        yield "sha256", run.checksum
    for told in run.told:
        yield "told", told
