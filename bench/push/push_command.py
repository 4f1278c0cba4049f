"""The command ``turnstile bench push``, and its table."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bench.options import Broker, Folder, Json, Partitions
from bench.running import reporting

if TYPE_CHECKING:
    from bench.push.measure import Pushed
    from bench.report import Report


def push(
    members: Annotated[int, typer.Option(min=1, help="Members of the audience, and so rows.")] = 1_000_000,
    only: Annotated[
        str | None, typer.Option(help="Which targets: files, s3, sftp, kafka, plain_kafka [default: all]")
    ] = None,
    gzip: Annotated[bool, typer.Option("--gzip", help="Pack the files.")] = False,
    s3: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A running S3 server with a bucket `lists`; key id and key are `turnstile-bench` and "
            "`turnstile-bench-secret`; without it `minio` is started.",
        ),
    ] = None,
    partitions: Partitions = 8,
    repeat: Annotated[int, typer.Option(min=1, help="Runs; each is shown.")] = 1,
    broker: Broker = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """Rows a second of a list from its members to its target: hashed ids, three attributes, CSV or records.

    Members are made up: what reading them out of the stores costs isn't measured here. Targets: a folder
    (the floor), S3 (MinIO), SFTP (asyncssh's server), Kafka in one transaction; beside it a plain aiokafka
    script. Each list is checked where it lies, otherwise the run fails.
    """
    from agents.pushes.targets.places import ObjectStorePlace
    from bench.kafka.brokers import bench_broker
    from bench.processes import BenchFailed, scratch
    from bench.push.measure import KINDS, PushPlan, measure
    from bench.push.servers import BUCKET, KEY, KEY_ID

    with reporting(json) as report, contextlib.ExitStack() as started:
        kinds = KINDS if only is None else tuple(only.split(","))
        if unknown := [each for each in kinds if each not in KINDS]:
            raise BenchFailed(f"--only {', '.join(unknown)}: allowed are {', '.join(KINDS)}")
        scratch_folder = started.enter_context(scratch(folder))
        needs_broker = bool({"kafka", "plain_kafka"} & set(kinds))
        kafka = started.enter_context(bench_broker(broker)) if needs_broker else None
        given = (
            None
            if s3 is None
            else ObjectStorePlace("s3", BUCKET, "", s3, None, KEY_ID, KEY, allow_private=True)
        )
        plan = PushPlan(members, partitions, gzip, given)
        runs = []
        for turn in range(repeat):
            for kind in kinds:
                to = scratch_folder / f"{turn}-{kind}"
                to.mkdir()
                try:
                    runs.append(asyncio.run(measure(kind, plan, kafka, to, report.say)))
                except BenchFailed as failed:
                    if kind != "s3" or only is not None:
                        raise
                    report.say(str(failed))  # what isn't installed is left out
        show_push(report, runs)


def show_push(report: Report, runs: Sequence[Pushed]) -> None:
    from bench.report import mebibytes

    columns = ("target", "rows/s", "made/s", "delivered/s", "CPU µs/row made", "delivered", "MB", "peak RSS")
    rows = [
        (
            each.kind,
            f"{each.rate:,.0f}",
            f"{each.rows / each.rows_seconds:,.0f}",
            f"{each.rows / each.seconds:,.0f}",
            f"{each.rows_cpu_seconds / each.rows * 1e6:.2f}",
            f"{each.cpu_seconds / each.rows * 1e6:.2f}",
            f"{each.bytes / 1e6:,.1f}",
            mebibytes(each.peak_rss_bytes),
        )
        for each in runs
    ]
    report.table(f"push: {runs[0].rows:,} rows from members to the target", columns, rows)
    report.keep("runs", [asdict(each) for each in runs])
