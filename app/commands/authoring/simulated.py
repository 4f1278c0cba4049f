"""What a simulation came to, for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.commands.authoring.told import counted
from app.commands.output import columns
from app.simulate.simulate import Summary
from rules.model.language import Audience
from rules.time.instants import format_instant


def report(summary: Summary, audiences: Sequence[Audience], bad: int) -> Iterator[str]:
    """A table of all audiences at the end, and what became of the records."""
    if summary.records > summary.bad:
        yield f"at {format_instant(summary.at_ms)}:"
        yield from _table(summary, audiences)
    if summary.repeats:
        yield f"{counted(summary.repeats, 'record')} with an id that was there before: not counted again"
    if summary.dropped_samples:
        yield f"{counted(summary.dropped_samples, 'sample')} dropped: a user had more than state.max_samples"
    if summary.dropped_ids:
        yield f"{counted(summary.dropped_ids, 'id')} forgotten early: a user had too many in dedupe.window"
    counts = (
        (summary.records + bad - summary.bad, "record"),
        (summary.transitions, "transition"),
        (bad, "bad line"),
    )
    yield f"{', '.join(counted(*each) for each in counts)}, {summary.seconds:.2f} s"


def _table(summary: Summary, audiences: Sequence[Audience]) -> Iterator[str]:
    projects = len({each.project for each in audiences}) > 1
    rows = [("audience", "members", "enters", "exits")]
    for each in sorted(audiences, key=lambda each: (each.project, each.id)):
        enters, exits = summary.entered[each.project, each.id], summary.left[each.project, each.id]
        name = f"{each.project}/{each.id}" if projects else each.id
        rows.append((name, str(enters - exits), str(enters), str(exits)))
    yield from columns(rows)
