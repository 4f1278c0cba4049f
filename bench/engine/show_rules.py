"""The tables of ``bench rules``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from bench.engine.scale import Run
from bench.report import Report


def show_rules(report: Report, scaled: Sequence[Run], kinds: Sequence[Run], ordinary: Run) -> None:
    """``kinds`` begins with the run that has no audience."""
    ten = next(run for run in scaled if run.audiences == 10)
    rows = [
        (
            f"{run.audiences:,}",
            f"{1e6 / run.us_per_event:,.0f}",
            f"{run.us_per_event:.1f}",
            f"{run.us_per_event / ten.us_per_event:.2f}x",
            f"{run.transitions_per_event:.2f}",
        )
        for run in scaled
    ]
    columns = ("audiences", "events/s", "CPU µs", "to ten", "transitions")
    report.table("more and more audiences, ten of them concerned", columns, rows)
    bare = kinds[0]
    kind_rows = [
        (
            run.name,
            f"{run.us_per_event:.1f}",
            f"{run.us_per_event - bare.us_per_event:.1f}",
            f"{run.transitions_per_event:.2f}",
            f"{run.row_bytes:,.0f}",
            f"{run.row_bytes - bare.row_bytes:,.0f}",
        )
        for run in kinds
    ]
    kind_columns = ("condition", "CPU µs", "its own", "transitions", "row bytes", "its own")
    report.table("one audience with one condition; µs an event, bytes a user", kind_columns, kind_rows)
    report.say(f"A user with 20 events under {ordinary.name}: {ordinary.row_bytes:,.0f} bytes a row.")
    report.keep("scaled", [asdict(run) for run in scaled])
    report.keep("kinds", [asdict(run) for run in kinds])
    report.keep("ordinary", asdict(ordinary))
