"""The command ``turnstile bench failover``, and its table."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bench.options import Broker, Folder, Json, Partitions
from bench.running import running

if TYPE_CHECKING:
    from bench.report import Report
    from bench.worker.failover import Failover


def failover(
    users: Annotated[int, typer.Option(min=100, help="Users who have rows before the kill.")] = 20_000,
    rate: Annotated[int, typer.Option(min=1, help="Events a second meanwhile.")] = 200,
    per_second: Annotated[int, typer.Option(min=1, help="Lookups a second of its users.")] = 100,
    before: Annotated[float, typer.Option(min=1, help="Seconds before the kill.")] = 10.0,
    after: Annotated[float, typer.Option(min=5, help="Seconds after it.")] = 30.0,
    partitions: Partitions = 4,
    broker: Broker = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """One of two workers is killed: how long its users' lookups are unavailable, and how old answers get.

    Three times: two workers alone, two that keep standbys, and a reader beside two workers. Lookups go to the
    worker that stays, or to the reader. An answer is wrong if it lacks what Kafka had at its own instant.
    """
    from bench.worker.failover import KINDS, Plan, measure

    plan = Plan(users, partitions, rate, per_second, before, after)
    with running(broker, json, folder) as (report, started, scratch_folder):
        runs = []
        for number, kind in enumerate(KINDS):
            to = scratch_folder / f"run-{number + 1}"
            to.mkdir()
            runs.append(asyncio.run(measure(started, to, plan, kind, report.say)))
        show_failover(report, runs)


def show_failover(report: Report, runs: Sequence[Failover]) -> None:
    rows = [
        (
            run.kind,
            f"{run.asked:,}",
            f"{run.unavailable:,}",
            f"{run.longest_gap_ms:,.0f}",
            f"{run.typical_ms:,.0f}",
            f"{run.oldest_ms:,.0f}",
            f"{run.wrong:,}",
        )
        for run in runs
    ]
    columns = ("", "lookups", "unavailable", "longest gap", "age before", "oldest answer", "wrong")
    report.table("lookups of a killed worker's users, ms", columns, rows)
    report.say(
        "The gap of workers alone is mostly the session timeout (6 s here): so long the group waits for the "
        "dead worker's heartbeat. Standbys answer meanwhile, and are silent when they become owners."
    )
    report.keep("runs", [asdict(run) for run in runs])
