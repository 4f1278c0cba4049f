"""The command ``turnstile bench push``, and its tables."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bench.options import Broker, Engine, Folder, Json, Partitions, engine_settings
from bench.running import running

if TYPE_CHECKING:
    from bench.push.floors import Floor
    from bench.push.live import Window
    from bench.push.measure import Pushed, PushRuns
    from bench.report import Report


def push(
    rows: Annotated[int, typer.Option(min=100, help="Users that have rows.")] = 5_000_000,
    members: Annotated[
        int, typer.Option(min=10, help="How many of them are in the audience; so many rows has a list.")
    ] = 1_000_000,
    only: Annotated[str | None, typer.Option(help="Which targets: s3, sftp, kafka [default: all]")] = None,
    gzip: Annotated[bool, typer.Option("--gzip", help="Pack the files.")] = False,
    s3: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A running S3 server with a bucket `lists`; key id and key are `turnstile-bench` and "
            "`turnstile-bench-secret`; without it MinIO is started (built once, by go).",
        ),
    ] = None,
    rate: Annotated[int, typer.Option(min=0, help="Events a second beside pushes; 0: none.")] = 5_000,
    seconds: Annotated[float, typer.Option(min=1, help="How long live traffic runs without a push.")] = 20.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds of it before that don't count.")] = 5.0,
    floors: Annotated[
        bool, typer.Option(help="The same by a script with Redis and aiokafka, and by PyArrow, too.")
    ] = True,
    partitions: Partitions = 8,
    repeat: Annotated[int, typer.Option(min=1, help="Runs to each target; each is shown.")] = 1,
    engine: Engine = None,
    broker: Broker = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """Lists of an audience's members, out of millions of rows in RocksDB, to S3, SFTP and Kafka.

    A worker and a process of pushes, both real, on stores with so many rows. Each list has a hashed id and
    three attributes, and is compared with who should be in it, otherwise the run fails. Shown by phase: from
    the stores to the spool, from the spool to the target. Then the same beside live traffic, with the time
    from events to transitions without a push and beside each. Last the same lists by a script (members in a
    Redis set, aiokafka or CSV) and by PyArrow from a table that is ready, where these are installed.
    """
    from agents.pushes.targets.places import ObjectStorePlace
    from bench.processes import BenchFailed
    from bench.push.measure import KINDS, PushPlan, measure
    from bench.push.people import MOST, People
    from bench.push.servers import BUCKET, KEY, KEY_ID

    with running(broker, json, folder) as (report, started, scratch_folder):
        kinds = KINDS if only is None else tuple(only.split(","))
        if unknown := [each for each in kinds if each not in KINDS]:
            raise BenchFailed(f"--only {', '.join(unknown)}: allowed are {', '.join(KINDS)}")
        if not members <= rows <= MOST:
            raise BenchFailed(f"--rows {rows}: allowed are {members} (--members) to {MOST}")
        given = (
            None
            if s3 is None
            else ObjectStorePlace("s3", BUCKET, "", s3, None, KEY_ID, KEY, allow_private=True)
        )
        plan = PushPlan(
            People(rows, members),
            partitions,
            kinds,
            gzip,
            given,
            rate,
            seconds,
            warm_up,
            repeat,
            floors,
            engine_settings(engine),
        )
        show_push(report, plan.people.rows, asyncio.run(measure(started, scratch_folder, plan, report.say)))


def show_push(report: Report, rows: int, found: PushRuns) -> None:
    from bench.report import mebibytes

    _show_lists(report, rows, found.pushed)
    if found.windows:
        _show_windows(report, found.windows)
    if found.floors:
        _show_floors(report, found.floors)
    report.facts("process of pushes", {"highest memory": mebibytes(found.peak_bytes)})
    report.keep("runs", [{**asdict(each), "rate": each.rate} for each in found.pushed])
    report.keep("windows", [asdict(each) for each in found.windows])
    report.keep("floors", [{**asdict(each), "rate": each.rate} for each in found.floors])
    report.keep("peak_rss_bytes", found.peak_bytes)


def _show_lists(report: Report, rows: int, pushed: Sequence[Pushed]) -> None:
    from bench.report import mebibytes

    columns = ("target", "beside", "rows/s", "spooled/s", "delivered/s", "µs/row spooled", "delivered")
    shown = [
        (
            each.kind,
            each.beside,
            f"{each.rate:,.0f}",
            f"{each.rows / each.spool_seconds:,.0f}",
            f"{each.rows / each.deliver_seconds:,.0f}",
            f"{each.spool_cpu_seconds / each.rows * 1e6:.2f}",
            f"{each.deliver_cpu_seconds / each.rows * 1e6:.2f}",
            f"{each.wait_seconds:.1f}",
            f"{each.bytes / 1e6:,.0f}",
            mebibytes(each.rss_bytes),
        )
        for each in pushed
    ]
    title = f"{pushed[0].rows:,} members of {rows:,} rows; CPU of the process of pushes"
    report.table(title, (*columns, "s to the instant", "MB", "memory"), shown)


def _show_windows(report: Report, windows: Sequence[Window]) -> None:
    from bench.worker.reader import PERCENTILES

    alone = windows[0].milliseconds.get("p99")

    def ratio(each: Window) -> str:
        return f"{each.milliseconds['p99'] / alone:.2f}" if alone and each.measured else ""

    shown = [
        (
            each.beside or "no push",
            f"{each.seconds:.0f}",
            f"{each.measured:,}",
            *(f"{each.milliseconds[name]:,.0f}" if each.measured else "" for name in PERCENTILES),
            ratio(each),
        )
        for each in windows
    ]
    columns = ("beside", "s", "measured", *PERCENTILES, "p99 to no push")
    report.table("from an event to its transition, ms", columns, shown)


def _show_floors(report: Report, floors: Sequence[Floor]) -> None:
    from bench.report import mebibytes

    shown = [
        (
            each.kind,
            f"{each.rate:,.0f}",
            f"{each.cpu_seconds / each.rows * 1e6:.2f}",
            mebibytes(each.peak_rss_bytes),
        )
        for each in floors
    ]
    report.table("the same without us", ("by", "rows/s", "CPU µs a row", "memory"), shown)
