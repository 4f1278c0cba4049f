"""The tables of ``bench backfill``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from bench.report import Report, mebibytes
from bench.worker.backfill_runs import BackfillRun


def show_backfill(report: Report, runs: Sequence[BackfillRun]) -> None:
    rows = []
    for run in runs:
        start = run.from_the_start
        rows.append(
            (
                "everything from the start, a new application id",
                str(run.partitions),
                f"{start.records:,}",
                f"{start.seconds:.1f}",
                "-",
                f"{start.records / start.seconds:,.0f}",
                f"{start.cpu_us:.1f}",
                "-",
                "-",
            )
        )
        rows += [
            (
                each.audience,
                str(run.partitions),
                f"{each.records:,}",
                f"{each.cut_seconds:.1f}",
                f"{each.ready_seconds:.1f}",
                f"{each.rate:,.0f}",
                f"{each.cpu_us:.1f}",
                mebibytes(max(0, each.peak_bytes - each.rss_bytes)),
                mebibytes(each.scratch_bytes),
            )
            for each in run.computed
        ]
    columns = ("", "partitions", "records", "s to cut", "s to ready", "records/s", "CPU µs", "memory", "disk")
    report.table("the past of an audience that is published late; memory beside what it was", columns, rows)
    for run in runs:
        if run.beside is not None:
            _show_beside(report, run)
        if run.cut_p99_ms is not None:
            report.say(
                f"{run.partitions} partitions: {run.cuts} cuts; pause of a task: "
                f"mean {run.cut_mean_ms:.1f} ms, 99 % within {run.cut_p99_ms:g} ms"
            )
    report.keep("runs", [asdict(run) for run in runs])


def _show_beside(report: Report, run: BackfillRun) -> None:
    found = run.beside
    assert found is not None
    rows = []
    for name, latencies, lag in (
        ("alone", found.alone, found.lag_alone),
        ("beside a past", found.beside, found.lag_beside),
    ):
        for each in latencies:
            figures = [f"{each.milliseconds.get(key, 0):.1f}" for key in ("p50", "p95", "p99", "max")]
            rows.append((f"{name}: {each.path}", f"{each.measured:,}", *figures, f"{lag:,}"))
    title = f"live events at {found.rate:,}/s, {run.partitions} partitions; ms"
    report.table(title, ("", "measured", "p50", "p95", "p99", "max", "most lag"), rows)
    if found.computed_seconds is None:
        report.say("the audience was not ready while live events came")
    else:
        report.say(f"the audience was ready {found.computed_seconds:.1f} s after it was published")
