"""A process that makes the same list as somebody would who has only this job: ``ORDER`` (JSON) ``RESULT``.

``script_…``: members are a set in Redis, their profiles are JSON beside it; each row is hashed and written,
by aiokafka's ``send`` or as CSV. ``arrow_…``: PyArrow writes CSV out of a table that is ready, hashes
included. Nothing of it is decided at an instant, spooled, checked, or done once only.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import importlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import asyncssh
import msgspec
import orjson

from agents.kafka.broker import Broker
from agents.kafka.clients import new_producer
from bench.machine import usage
from bench.processes import write_result
from bench.push.people import AUDIENCE, People, city_of, hashed, spent_of, tier_of

AT_ONCE: Final = 2_000
COLUMNS: Final = ("email", "city", "tier", "spent")


class Order(msgspec.Struct):
    """``port``: of Redis, MinIO or the SFTP server; ``file``: where a file goes, or what is uploaded."""

    kind: str
    rows: int
    members: int
    port: int = 0
    bootstrap: str = ""
    topic: str = ""
    file: str = ""
    key_id: str = ""
    key: str = ""


async def run(order: Order) -> int:
    """How many rows were written."""
    if order.kind == "script_kafka":
        return await _script_to_kafka(order)
    if order.kind == "script_file":
        return _script_to_file(order)
    return await _arrow(order)


# -- a script with Redis -------------------------------------------------------------------------------


def _profiles(port: int) -> Iterator[dict[str, Any]]:
    """Of all members, page by page as SSCAN gives them."""
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
        cursor = b"0"
        while True:
            connection.sendall(_command(b"SSCAN", AUDIENCE.encode(), cursor, b"COUNT", b"%d" % AT_ONCE))
            cursor, names = _answer(answers)
            if names:
                connection.sendall(_command(b"MGET", *names))
                yield from map(orjson.loads, _answer(answers))
            if cursor == b"0":
                return


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _answer(answers: Any) -> Any:
    line = answers.readline()
    number = int(line[1:])
    if line[:1] == b"$":
        return answers.read(number + 2)[:-2]
    assert line[:1] == b"*", line
    return [_answer(answers) for _ in range(number)]


def _hash(profile: dict[str, Any]) -> str:
    return hashlib.sha256(profile["email"].strip().lower().encode()).hexdigest()


async def _script_to_kafka(order: Order) -> int:
    producer = new_producer(Broker(order.bootstrap), idempotence=True, linger_ms=5, max_batch_size=1 << 18)
    await producer.start()
    rows = 0
    last: Any = None
    for profile in _profiles(order.port):
        email = _hash(profile)
        row = {"email": email, **{name: profile[name] for name in COLUMNS[1:]}}
        last = await producer.send(order.topic, orjson.dumps(row), key=email.encode())
        rows += 1
    await producer.flush()
    if last is not None:
        await last
    await producer.stop()
    return rows


def _script_to_file(order: Order) -> int:
    rows = 0
    with Path(order.file).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for profile in _profiles(order.port):
            writer.writerow([_hash(profile), *(profile[name] for name in COLUMNS[1:])])
            rows += 1
    return rows


# -- PyArrow -------------------------------------------------------------------------------------------


def _table(order: Order) -> Any:
    numbers = list(People(order.rows, order.members).inside())
    columns = {
        "email": [hashed(each) for each in numbers],
        "city": [city_of(each) for each in numbers],
        "tier": [tier_of(each) for each in numbers],
        "spent": [spent_of(each) for each in numbers],
    }
    return importlib.import_module("pyarrow").table(columns)


async def _arrow(order: Order) -> int:
    table = _READY["table"]
    write = importlib.import_module("pyarrow.csv").write_csv
    if order.kind == "arrow_s3":
        store = importlib.import_module("pyarrow.fs").S3FileSystem(
            access_key=order.key_id,
            secret_key=order.key,
            endpoint_override=f"127.0.0.1:{order.port}",
            scheme="http",
            region="us-east-1",
        )
        with store.open_output_stream(order.file) as stream:
            write(table, stream)
        return int(table.num_rows)
    write(table, order.file)
    if order.kind == "arrow_sftp":
        connecting = asyncssh.connect(
            "127.0.0.1", order.port, username="bench", known_hosts=None, config=None
        )
        async with connecting as connection, connection.start_sftp_client() as client:
            await client.put(order.file, "arrow.csv")
    return int(table.num_rows)


_READY: dict[str, Any] = {}
"""What is there before the clock runs."""


def main(order_file: str, result: str) -> None:
    order = msgspec.json.decode(Path(order_file).read_bytes(), type=Order)
    if order.kind.startswith("arrow"):
        _READY["table"] = _table(order)
    began, cpu_began = time.perf_counter(), time.process_time()
    rows = asyncio.run(run(order))
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    used = usage(os.getpid())
    assert used is not None
    found = {
        "rows": rows,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        # (getrusage would tell the highest of whoever started this process, too.)
        "peak_rss_bytes": used.peak_bytes,
    }
    write_result(result, found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
