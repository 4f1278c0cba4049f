"""The command ``turnstile bench estimate``."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from bench.options import Broker, Folder, Json, Partitions, Users
from bench.running import running


def estimate(
    events: Annotated[int, typer.Option(min=1, help="Events in the log.")] = 1_000_000,
    users: Users = 200_000,
    partitions: Partitions = 8,
    repeat: Annotated[int, typer.Option(min=1, help="Pairs of answers, taking turns.")] = 1,
    broker: Broker = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """Seconds until the size of an audience of a twentieth of the users is known within 5 % of itself.

    Beside it, in turns, all users evaluated exactly. Asked as a worker asks: of a process of its own, which
    starts, reads the whole log from Kafka, and answers. The interval must hold the exact size, or the run
    fails.
    """
    from bench.estimate.measure import measure, show
    from bench.workload.events import LogSpec

    with running(broker, json, folder) as (report, started, _):
        spec = LogSpec.ending_at(time.time_ns() // 1_000_000, events, users, partitions)
        show(report, spec, asyncio.run(measure(started, spec, repeat, report.say)))
