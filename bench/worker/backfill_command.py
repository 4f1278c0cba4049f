"""The command ``turnstile bench backfill``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from bench.options import Broker, Folder, Json, Users
from bench.running import running


def backfill(
    records: Annotated[int, typer.Option(min=1000, help="Events in the log.")] = 1_000_000,
    users: Users = 200_000,
    partitions: Annotated[str, typer.Option(help="Numbers of partitions, a run for each.")] = "1,8",
    rate: Annotated[int, typer.Option(min=0, help="Live events per second; 0: none.")] = 5_000,
    seconds: Annotated[float, typer.Option(min=4, help="How long these come, alone and beside.")] = 30.0,
    broker: Broker = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """The past of audiences that are published late: records per second, and what live events notice.

    A worker takes a log from its start, which is what a new application id costs. Then two audiences are
    published, one that an eighth of the events concern and one that all do, with nothing live; and a third
    one beside live events, whose latency is measured with and without it. Memory and disk beside that.
    """
    from bench.worker.backfill import measure
    from bench.worker.show_backfill import show_backfill

    with running(broker, json, folder) as (report, started, scratch_folder):
        runs = []
        for each in map(int, partitions.split(",")):
            run_folder = scratch_folder / f"partitions-{each}"
            run_folder.mkdir()
            found = measure(started, run_folder, records, users, each, rate, seconds, report.say)
            runs.append(asyncio.run(found))
        show_backfill(report, runs)
