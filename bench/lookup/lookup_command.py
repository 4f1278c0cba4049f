"""The command ``turnstile bench lookup``, and its tables."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bench.options import Broker, Engine, Folder, Json, Partitions, engine_settings
from bench.running import running

if TYPE_CHECKING:
    from bench.lookup.measure import LookupRun
    from bench.report import Report


def lookup(
    rate: Annotated[int, typer.Option(min=1, help="Events a second beside the lookups.")] = 10_000,
    per_second: Annotated[
        int | None,
        typer.Option(min=1, help="Single lookups a second, where paced [default: 200; of a reader 2,000]"),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="How long each question is measured.")] = 10.0,
    warm_up: Annotated[float, typer.Option(min=1, help="Seconds of events before, for rows.")] = 10.0,
    partitions: Partitions = 8,
    reader: Annotated[bool, typer.Option("--reader", help="Ask a reader, not the worker.")] = False,
    redis: Annotated[bool, typer.Option(help="Ask Redis, too, where it is installed.")] = True,
    repeat: Annotated[int, typer.Option(min=1, help="Runs; each is shown.")] = 1,
    engine: Engine = None,
    broker: Broker = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """Lookups over HTTP on a worker that is idle, and while events come; beside it Redis, by the same client.

    Single ones at a steady rate (each is due at an instant of its own, and its time runs from there), as many
    as can be, 100 users at once about one audience and about all, 1,000 users at once. Redis has a set of
    audiences for each user (SISMEMBER, SMISMEMBER, pipelined). With --reader everything is asked of a reader,
    and of Redis once more beside the events. For half load, give half of what `bench throughput` shows as
    --rate.
    """
    from bench.lookup.measure import Plan, measure

    paced = per_second or (2_000 if reader else 200)
    plan = Plan(rate, paced, seconds, warm_up, partitions, reader, redis)
    with running(broker, json, folder) as (report, started, scratch_folder):
        runs = []
        for turn in range(repeat):
            to = scratch_folder / f"run-{turn + 1}"
            to.mkdir()
            runs.append(asyncio.run(measure(started, to, plan, report.say, engine_settings(engine))))
        show_lookup(report, runs)


def show_lookup(report: Report, runs: Sequence[LookupRun]) -> None:
    names = list(runs[0].asked[0].milliseconds)
    columns = ("asked", "beside", "question", "requests/s", "pairs/s", *names, "server's CPU")
    rows = [
        (
            each.whom,
            each.beside,
            each.question,
            f"{each.requests_per_second:,.0f}",
            f"{each.pairs_per_second:,.0f}",
            *(f"{each.milliseconds[name]:.1f}" for name in names),
            f"{each.server_cpu:.0%}",
        )
        for run in runs
        for each in run.asked
    ]
    report.table("lookups; times in ms", columns, rows)
    for run in runs:
        fresh = {f"seen after, {name}": f"{ms:.0f} ms" for name, ms in run.freshness_ms.items()}
        report.facts("events", {"events/s": f"{run.rate:,.0f}", **fresh})
        if run.without:
            report.say(run.without)
    report.keep("runs", [asdict(run) for run in runs])
