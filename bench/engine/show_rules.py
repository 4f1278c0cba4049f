"""The tables of ``bench rules``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.engine.scale import Run
from bench.report import Report


@dataclass(frozen=True, slots=True)
class RulesRun:
    """All runs of one engine. ``kinds`` begins with the run that has no audience."""

    engine: str
    scaled: list[Run]
    kinds: list[Run]
    ordinary: Run


def show_rules(report: Report, runs: Sequence[RulesRun]) -> None:
    """Each engine has its table; with both there is one more, with each kind of condition side by side."""
    for run in runs:
        _show_scaled(report, run)
        _show_kinds(report, run)
        ordinary = run.ordinary
        report.say(f"A user with 20 events under {ordinary.name}: {ordinary.row_bytes:,.0f} bytes a row.")
    by_engine = {run.engine: run for run in runs}
    if {"native", "python"} <= by_engine.keys():
        _show_both(report, by_engine["python"], by_engine["native"])
    report.keep("engines", [asdict(run) for run in runs])


def _show_scaled(report: Report, run: RulesRun) -> None:
    ten = next((each for each in run.scaled if each.audiences == 10), run.scaled[0])
    rows = [
        (
            f"{each.audiences:,}",
            f"{1e6 / each.us_per_event:,.0f}",
            f"{each.us_per_event:.1f}",
            f"{each.us_per_event / ten.us_per_event:.2f}x",
            f"{each.transitions_per_event:.2f}",
        )
        for each in run.scaled
    ]
    columns = ("audiences", "events/s", "CPU µs", "to ten", "transitions")
    report.table(f"{run.engine} engine: more and more audiences, ten of them concerned", columns, rows)


def _show_kinds(report: Report, run: RulesRun) -> None:
    bare = run.kinds[0]
    rows = [
        (
            each.name,
            f"{each.us_per_event:.1f}",
            f"{each.us_per_event - bare.us_per_event:.1f}",
            f"{each.transitions_per_event:.2f}",
            f"{each.row_bytes:,.0f}",
            f"{each.row_bytes - bare.row_bytes:,.0f}",
        )
        for each in run.kinds
    ]
    columns = ("condition", "CPU µs", "its own", "transitions", "row bytes", "its own")
    title = f"{run.engine} engine: one audience with one condition; µs an event, bytes a user"
    report.table(title, columns, rows)


def _show_both(report: Report, python: RulesRun, native: RulesRun) -> None:
    rows = []
    pairs = zip([*python.scaled, *python.kinds], [*native.scaled, *native.kinds], strict=True)
    for slow, fast in pairs:
        same = (slow.transitions_per_event, slow.row_bytes) == (fast.transitions_per_event, fast.row_bytes)
        rows.append(
            (
                slow.name,
                f"{slow.us_per_event:.2f}",
                f"{fast.us_per_event:.2f}",
                f"{fast.us_per_event / slow.us_per_event:.2f}x",
                "Python computed" if fast.engine != "native" else "yes" if same else "NO",
            )
        )
    columns = ("", "Python", "native", "native to Python", "same rows and transitions")
    report.table("both engines, CPU µs an event", columns, rows)
