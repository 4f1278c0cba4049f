"""The command ``turnstile bench members``."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.options import Folder, Json
from bench.running import reporting


def members(
    rows: Annotated[int, typer.Option(min=1, help="Rows in the store.")] = 1_000_000,
    pages: Annotated[int, typer.Option(min=1, help="Pages of each size.")] = 200,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """A page of an audience's members from the index, beside a scan of all rows, without Kafka.

    Pages begin anywhere among the rows of one partition in RocksDB, with default caches. Each is decided
    and has since and exit_at. Index and rows must agree, or the run fails.
    """
    from bench.engine.members import measure, show_members
    from bench.processes import scratch

    with reporting(json) as report, scratch(folder) as store:
        show_members(report, measure(rows, pages, (100, 1_000), store, report.say))
