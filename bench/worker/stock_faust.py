"""A process with a plain Faust app that does what the worker does, the way Faust's guide shows it.

An agent takes event by event, reads the user's row from a RocksDB table, applies the rules, writes the
row back and sends transitions to a topic. It is helped where that is fair: rules and row format (bytes,
faster than Faust's JSON) are ours, so that only the moving of records differs. It lacks exits by time for
users without a further event.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust

from agents.evaluate.transitions import transition_body
from bench.processes import write_result
from bench.workload.rules import bench_audiences, compiled
from rules.decide.decide import apply_event, fire, new_row
from rules.state.row import Transition
from rules.time.instants import parse_instant
from tables.codec import decode_row, encode_row

COMMIT_SECONDS = 1.0
"""As the worker's; stock Faust has 2.8."""
LINGER_SECONDS = 0.1
MAX_BATCH_BYTES = 900_000
"""Fewer and larger produce requests than with Faust's defaults (0 s, 16 KiB)."""
TABLE = "profiles"


def stock_app(bootstrap: str, name: str, partitions: int, folder: Path) -> tuple[faust.App, Any]:
    """The app and its table."""
    app = faust.App(
        name,
        broker=f"kafka://{bootstrap}",
        store="rocksdb://",
        datadir=str(folder),
        topic_partitions=partitions,
        topic_replication_factor=1,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=COMMIT_SECONDS,
        producer_linger=LINGER_SECONDS,
        producer_max_batch_size=MAX_BATCH_BYTES,
        stream_recovery_delay=0,
        web_enabled=False,
        autodiscover=False,
    )
    table: Any = app.Table(TABLE, partitions=partitions, key_type=bytes, value_type=bytes)
    return app, table


def changelog_of(name: str) -> str:
    return f"{name}-{TABLE}-changelog"


def evaluate_app(
    bootstrap: str,
    name: str,
    source: str,
    target: str,
    partitions: int,
    folder: Path,
    started: Callable[[], None],
) -> faust.App:
    app, table = stock_app(bootstrap, name, partitions, folder)
    events = app.topic(source, key_type=bytes, value_serializer="json")
    transitions = app.topic(target, key_type=bytes, value_serializer="json")
    rules = compiled(bench_audiences()).project("default")
    clocks = [0] * partitions

    @app.agent(events)
    async def evaluate(stream: Any) -> None:
        async for event in stream.events():
            started()
            key, value, message = event.key, event.value, event.message
            partition = message.partition
            now_ms = clocks[partition] = max(clocks[partition], round(message.timestamp * 1000))
            stored = table.get(key)
            known = stored is not None
            row = decode_row(stored) if known else new_row(now_ms)
            user_id, out = value["user_id"], list[Transition]()
            if row.timer_ms is not None and row.timer_ms < now_ms:
                fire(rules, user_id, row, now_ms, out)
            happened_ms, properties = parse_instant(value["time"]), value["properties"]
            changed = apply_event(
                rules, user_id, row, value["event"], value["id"], happened_ms, properties, now_ms, known, out
            )
            if changed or out:
                table[key] = encode_row(row)
            for transition in out:
                body = transition_body(transition)
                await transitions.send(
                    key=key,
                    value={name: getattr(body, name) for name in body.__struct_fields__ if name != "trigger"},
                    timestamp=transition.at_ms / 1000,
                )

    return app


def recovery_app(bootstrap: str, name: str, partitions: int, folder: Path, result: str) -> faust.App:
    """Only a table: it reports how long its recovery took."""
    app, _table = stock_app(bootstrap, name, partitions, folder)
    source = app.topic(f"{name}.events", key_type=bytes, value_serializer="raw")

    @app.agent(source)
    async def nothing(stream: Any) -> None:
        async for _ in stream:
            pass

    @app.task  # type: ignore[untyped-decorator]
    async def watch() -> None:
        tables: Any = app.tables
        recovery = tables.recovery
        # Tasks start with the recovery or after it, so its own notes tell the time.
        while not recovery.completed.is_set() or recovery._recovery_ended_at is None:
            await asyncio.sleep(0.02)
        write_result(result, {"seconds": recovery._recovery_ended_at - recovery._recovery_started_at})

    return app


def run(arguments: list[str]) -> None:
    kind, bootstrap, name, partitions, folder, result, *topics = arguments
    if kind == "recovery":
        app = recovery_app(bootstrap, name, int(partitions), Path(folder), result)
    else:
        is_started = False

        def started() -> None:
            nonlocal is_started
            if not is_started:
                is_started = True
                write_result(result, {"records": 1})

        source, target = topics
        app = evaluate_app(bootstrap, name, source, target, int(partitions), Path(folder), started)
    logging.disable(logging.INFO)  # else debug records are made, and thrown away
    faust.Worker(app, loglevel="WARN").execute_from_commandline()


if __name__ == "__main__":
    run(sys.argv[1:])
