"""The command ``turnstile bench scale``, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bench.options import Engine, Folder, Json
from bench.report import mebibytes
from bench.running import reporting

if TYPE_CHECKING:
    from bench.engine.many_users import Passed
    from bench.report import Report


def scale(
    users: Annotated[int, typer.Option(min=1, help="Users with a row.")] = 10_000_000,
    share: Annotated[float, typer.Option(min=0.0001, max=1, help="Of the rows, how many are cached.")] = 0.1,
    events: Annotated[int, typer.Option(min=1, help="Events that are measured.")] = 300_000,
    engine: Engine = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """The pure pipeline over RocksDB with ten times more users than its cache has room for, without Kafka.

    Each event is of any user, so nine of ten read a row from RocksDB: the worst case. First as many events as
    the cache has rows fill it. Shown are µs an event and bytes a cached row, with both engines where the
    native one is built; each begins with the same rows.
    """
    from agents.evaluate.native.engine import Engine as Computes
    from bench.engine.choice import engines_here
    from bench.engine.many_users import Many, measure, write_store
    from bench.processes import scratch

    many = Many(users, max(1, int(users * share)), int(users * share), events)
    with reporting(json) as report:
        found = []
        for name in engines_here(engine, report.say):
            with scratch(folder) as to:
                recovered = write_store(many, to, report.say)
                found.append(measure(Computes(name), many, recovered, to, report.say))
        show_scale(report, found)


def show_scale(report: Report, found: Sequence[Passed]) -> None:
    rows = [
        (
            f"{each.engine} engine",
            f"{each.cached_rows:,}",
            f"{each.cpu_us:.1f}",
            f"{each.wall_us:.1f}",
            mebibytes(each.memory_bytes),
            f"{each.bytes_per_cached_row:,.0f}",
            f"{each.transitions_per_event:.2f}",
        )
        for each in found
    ]
    columns = ("", "cached rows", "CPU µs", "µs", "memory", "bytes a cached row", "transitions")
    report.table(f"{found[0].users:,} users, any of them in turn; µs an event", columns, rows)
    report.say("CPU and memory are those of the whole process, with RocksDB's threads and caches.")
    report.keep("runs", [asdict(each) for each in found])
