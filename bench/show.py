"""The tables of the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median

from bench.delivery.eventhub import EventHubLatency, EventHubRun
from bench.delivery.measure import WebhookRun
from bench.engine.profile import Profile
from bench.processes import BenchFailed
from bench.report import Report, mebibytes, middle, sparkline
from bench.worker.latency import LatencyRun
from bench.worker.memory import MemoryRun
from bench.worker.metered import Measured
from bench.worker.recovery import Restored
from bench.worker.throughput import ALL_KINDS, Throughput

TITLES = {
    "ceiling": "aiokafka + msgspec",
    "stock": "stock Faust",
    "ours": "turnstile worker",
    "per_core": "turnstile worker per core",
    "native": "turnstile worker, native engine",
    "python": "turnstile worker, Python engine",
    "twin": "Kafka Streams, exactly once",
    "twin_at_least_once": "Kafka Streams, at least once",
}


def show_throughput(report: Report, bench: Throughput, runs: Sequence[Measured]) -> None:
    by_kind = {kind: [run for run in runs if run.kind == kind] for kind in ALL_KINDS}
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
                _share(rates, kind, "stock", "{:.1f}x"),
                _share(rates, kind, "ceiling", "{:.1%}"),
                mebibytes(max(run.peak_rss_bytes for run in found)),
                "-" if found[0].transitions is None else f"{found[0].transitions:,}",
            )
        )
    columns = ("", "events", "events/s", "CPU µs", "broker µs", "stock", "ceiling", "peak RSS", "transitions")
    report.table(f"throughput: {len(runs)} runs; µs an event; rate beside stock and ceiling", columns, rows)
    report.say(
        "The transitions are those of the pure pipeline. Stock Faust has no exits by time for users without "
        "a further event, and none of the guarantees."
    )
    report.keep("log", asdict(bench.spec))
    report.keep("expected", {str(count): asdict(each) for count, each in bench.expected.items()})
    report.keep("runs", [asdict(run) for run in runs])


def _share(rates: dict[str, float], kind: str, base: str, form: str) -> str:
    return form.format(rates[kind] / rates[base]) if base in rates else "-"


def show_webhooks(report: Report, runs: Sequence[WebhookRun]) -> None:
    by_kind: dict[str, list[WebhookRun]] = {}
    for run in runs:
        by_kind.setdefault(run.kind, []).append(run)
    rates = {kind: median(run.rate for run in found) for kind, found in by_kind.items()}
    plain = rates["plain aiohttp"]
    rows = [
        (
            kind,
            f"{found[0].requests:,}",
            middle([run.rate for run in found]),
            middle([run.cpu_us for run in found], "{:.0f}"),
            f"{rates[kind] / plain:.2f}x",
            f"{max(run.repeats for run in found)}",
        )
        for kind, found in by_kind.items()
    ]
    columns = ("", "requests", "requests/s", "CPU µs/request", "to plain", "repeats")
    report.table("delivery to a local webhook receiver", columns, rows)
    report.keep("webhooks", [asdict(run) for run in runs])


def show_eventhub(report: Report, runs: Sequence[EventHubRun], latencies: Sequence[EventHubLatency]) -> None:
    by_kind: dict[str, list[EventHubRun]] = {}
    for run in runs:
        by_kind.setdefault(run.kind, []).append(run)
    plain = median(run.rate for run in by_kind["plain azure-eventhub"])
    rows = [
        (
            kind,
            f"{found[0].transitions:,}",
            middle([run.rate for run in found]),
            middle([run.cpu_us for run in found], "{:.0f}"),
            f"{median(run.rate for run in found) / plain:.2f}x",
            f"{max(run.repeats for run in found)}",
        )
        for kind, found in by_kind.items()
    ]
    columns = ("", "transitions", "transitions/s", "CPU µs/transition", "to plain", "repeats")
    report.table("delivery to a local stand-in for an event hub, over AMQP", columns, rows)
    pace = latencies[0].per_second
    paced = [
        (
            f"{each.measured:,}",
            f"{each.p50_ms:.0f}",
            f"{each.p99_ms:.0f}",
            f"{each.max_ms:.0f}",
            f"{each.cpu:.0%}",
        )
        for each in latencies
    ]
    title = f"from Kafka to the hub at {pace:,} transitions/s, milliseconds"
    report.table(title, ("measured", "p50", "p99", "max", "CPU of a core"), paced)
    report.keep("eventhub", [asdict(run) for run in runs])
    report.keep("eventhub_latency", [asdict(each) for each in latencies])


def show_profile(report: Report, found: Profile) -> None:
    inside = sum(found.sections.values())
    rows = [(name, f"{each:.2f}", f"{each / inside:.0%}") for name, each in found.sections.items()]
    rows.append(("all of it", f"{found.us_per_event:.2f}", ""))
    share = found.gc_us_per_event / found.us_per_event
    rows.append(("of that, Python's garbage collector", f"{found.gc_us_per_event:.2f}", f"{share:.0%}"))
    title = f"{found.events:,} events through the pipeline, CPU time"
    report.table(title, ("section", "µs/event", "share"), rows)
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


def show_latency(report: Report, runs: Sequence[LatencyRun]) -> None:
    names = list(runs[0].latencies[0].milliseconds)
    rows = [
        (each.path, f"{each.measured:,}", *(f"{each.milliseconds[name]:.1f}" for name in names))
        for run in runs
        for each in run.latencies
    ]
    report.table("latency in ms", ("", "measured", *names), rows)
    for run in runs:
        report.facts(
            "run",
            {
                "events/s": f"{run.rate:,.0f}",
                "events": f"{run.events:,}",
                "switch events, each with its one transition": f"{run.switches:,}",
                "late ticks of the producer": run.late_ticks,
                "records a step": f"{run.records_per_step:.1f}",
                "mean time to commit a step": f"{run.commit_ms:.1f} ms",
                "worker's CPU": f"{run.worker_cpu:.0%} of a core",
            },
        )
    report.keep("runs", [asdict(run) for run in runs])


def show_recovery(report: Report, found: Sequence[Restored]) -> None:
    rows = [
        (
            each.what,
            f"{each.rows:,}",
            f"{each.seconds:.2f}",
            f"{each.rate:,.0f}" if each.rows else "-",
            "-" if each.peak_rss_bytes is None else mebibytes(each.peak_rss_bytes),
        )
        for each in found
    ]
    report.table("recovery", ("", "rows", "seconds", "rows/s", "peak RSS"), rows)
    report.say("A worker's seconds run from the start of its process until /readyz says yes.")
    report.keep("runs", [asdict(each) for each in found])


def show_memory(report: Report, run: MemoryRun) -> None:
    """Raises BenchFailed when the memory goes on growing."""
    report.say("resident memory over time, from 0:")
    report.say(f"  {sparkline([each.rss_bytes for each in run.samples])}")
    last = run.samples[-1]
    report.facts(
        "memory",
        {
            "users": f"{run.users:,}",
            "peak": mebibytes(run.peak_bytes),
            "at the end": mebibytes(last.rss_bytes),
            "rows cached at the end": f"{last.cached_rows:,}",
            "slope of the last third": f"{run.bytes_per_user * 1e6 / 2**20:,.1f} MiB per million users",
            "levels off": "yes" if run.plateaus else "no",
            "users/s": f"{run.users / last.seconds:,.0f}",
        },
    )
    report.keep("samples", [asdict(each) for each in run.samples])
    if not run.plateaus:
        report.save()
        raise BenchFailed("resident memory goes on growing")
