"""The tables of the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median

from bench.profile import Profile
from bench.report import Report, mebibytes, middle
from bench.throughput import KINDS, Measured, Throughput

TITLES = {
    "ceiling": "ceiling: aiokafka + msgspec",
    "stock": "stock Faust + RocksDB table",
    "ours": "turnstile worker",
}


def show_throughput(report: Report, bench: Throughput, runs: Sequence[Measured]) -> None:
    by_kind = {kind: [run for run in runs if run.kind == kind] for kind in KINDS}
    rates = {kind: median(run.rate for run in found) for kind, found in by_kind.items() if found}
    rows = []
    for kind, found in by_kind.items():
        if not found:
            continue
        broker_us = [run.broker_cpu_us for run in found if run.broker_cpu_us is not None]
        rows.append(
            (
                TITLES[kind],
                f"{found[0].events:,}",
                middle([run.rate for run in found]),
                middle([run.cpu_us for run in found], "{:.1f}"),
                middle(broker_us, "{:.1f}") if broker_us else "-",
                _share(rates, kind, "stock", "{:.1f} x"),
                _share(rates, kind, "ceiling", "{:.1%}"),
                mebibytes(max(run.peak_rss_bytes for run in found)),
                "-" if found[0].transitions is None else f"{found[0].transitions:,}",
            )
        )
    columns = ("", "events", "events/s", "CPU µs/event", "broker µs/event", "to stock", "of ceiling", "peak RSS")
    report.table(f"throughput, {len(runs)} runs", (*columns, "transitions"), rows)
    report.say(
        "transitions are checked against the pure pipeline; stock Faust has no exits by time for users "
        "without a further event"
    )
    report.keep("log", asdict(bench.spec))
    report.keep("expected", {count: asdict(each) for count, each in bench.expected.items()})
    report.keep("runs", [asdict(run) for run in runs])


def _share(rates: dict[str, float], kind: str, base: str, form: str) -> str:
    return form.format(rates[kind] / rates[base]) if base in rates else "-"


def show_profile(report: Report, found: Profile) -> None:
    inside = sum(found.sections.values())
    rows = [(name, f"{each:.2f}", f"{each / inside:.0%}") for name, each in found.sections.items()]
    rows.append(("all of it", f"{found.us_per_event:.2f}", ""))
    share = found.gc_us_per_event / found.us_per_event
    rows.append(("of that, Python's garbage collector", f"{found.gc_us_per_event:.2f}", f"{share:.0%}"))
    report.table(f"{found.events:,} events through the pipeline", ("section", "µs/event", "share"), rows)
    report.facts(
        "log",
        {
            "events": found.events,
            "transitions": found.transitions,
            "rows written": found.rows_written,
            "changelog bytes an event": found.changelog_bytes // max(1, found.events),
        },
    )
    if found.functions:
        report.console.print(found.functions, highlight=False, markup=False)
    report.keep("sections_us", found.sections)
    report.keep("us_per_event", found.us_per_event)
    report.keep("gc_us_per_event", found.gc_us_per_event)
