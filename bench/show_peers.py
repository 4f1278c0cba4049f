"""The table of ``bench throughput --peers``, with what the project promises itself beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median

from bench.report import Report, mebibytes, middle
from bench.show import TITLES
from bench.worker.metered import Measured
from bench.worker.throughput import ALL_KINDS, Throughput

BASES = ("twin", "python")
"""What the others are compared with."""
CPU_TO_PYTHON = 0.2
CPU_TO_TWIN = 0.45
RATE_TO_TWIN = 2.5


def show_peers(report: Report, bench: Throughput, runs: Sequence[Measured]) -> None:
    by_kind = {kind: [run for run in runs if run.kind == kind] for kind in ALL_KINDS}
    found = {kind: several for kind, several in by_kind.items() if several}
    rates = {kind: median(run.rate for run in several) for kind, several in found.items()}
    cpus = {kind: median(run.cpu_us for run in several) for kind, several in found.items()}
    rows = []
    for kind, several in found.items():
        halves = [run.second_half_cpu_us for run in several if run.second_half_cpu_us is not None]
        rows.append(
            (
                TITLES[kind],
                middle([run.rate for run in several]),
                middle([run.cpu_us for run in several], "{:.1f}"),
                middle(halves, "{:.1f}") if halves else "-",
                mebibytes(max(run.peak_rss_bytes for run in several)),
                *(_times(rates, kind, base) for base in BASES),
                *(_times(cpus, kind, base) for base in BASES),
                f"{several[0].transitions:,}",
            )
        )
    columns = ("", "events/s", "CPU µs", "2nd half", "peak", "rate: twin", "Python", "CPU: twin", "Python")
    title = f"peers: {len(runs)} runs; µs an event; beside the twin (Kafka Streams) and the Python engine"
    report.table(title, (*columns, "transitions"), rows)
    report.say(
        "All gave the transitions of the pure pipeline: users, instants and bodies (but for their ids)."
    )
    report.say(
        "The Kafka Streams program has its rules in Java. It has no deduplication, profiles, dead letters, "
        "definitions at run time or HTTP."
    )
    if {"native", *BASES} <= found.keys():
        report.facts("wanted of the native engine", _wanted(rates, cpus))
    report.keep("log", asdict(bench.spec))
    report.keep("expected", {str(count): asdict(each) for count, each in bench.expected.items()})
    report.keep("runs", [asdict(run) for run in runs])


def _times(values: dict[str, float], kind: str, base: str) -> str:
    return f"{values[kind] / values[base]:.2f}x" if base in values else "-"


def _wanted(rates: dict[str, float], cpus: dict[str, float]) -> dict[str, str]:
    to_python, to_twin = cpus["native"] / cpus["python"], cpus["native"] / cpus["twin"]
    faster = rates["native"] / rates["twin"]
    return {
        f"CPU at most {CPU_TO_PYTHON:.2f} of the Python engine's": _said(
            to_python, to_python <= CPU_TO_PYTHON
        ),
        f"CPU at most {CPU_TO_TWIN:.2f} of the twin's": _said(to_twin, to_twin <= CPU_TO_TWIN),
        f"events/s at least {RATE_TO_TWIN:.1f} times the twin's": _said(faster, faster >= RATE_TO_TWIN),
    }


def _said(value: float, is_reached: bool) -> str:
    return f"{value:.2f}, {'reached' if is_reached else 'not reached'}"
