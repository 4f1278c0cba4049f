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
    yield "due", format_instant(run.due_ms)
    yield "state", run.state
    if run.reason:
        yield "reason", run.reason
    if run.instant_ms is not None:
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
    for told in run.told:
        yield "told", told
