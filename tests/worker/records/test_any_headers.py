"""Records with headers that only some clients can write, through a real broker and a real worker."""

from __future__ import annotations

import json
from pathlib import Path
from struct import pack_into
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from tests.stage.log import START_MS
from tests.stage.scene import scene

ONCE = "audiences: [{id: once, name: Once, rule: {event: view}}]"
NAME = b"a name of bytes"
NOT_UTF_8 = b"\xff\xfe".ljust(len(NAME))


async def send(producer: AIOKafkaProducer, topic: str, number: int, value: bytes) -> None:
    """One record, now to its user's partition, now to another, with a timestamp or without."""
    batch: Any = producer.create_batch()
    headers = [(NAME.decode(), b"x"), ("twice", None), ("twice", b"y"), ("source.accepted", b"z")]
    timestamp = -1 if number % 3 == 0 else START_MS + number
    batch.append(timestamp=timestamp, key=None, value=value, headers=headers)
    built = bytearray(bytes(batch._build()).replace(NAME, NOT_UTF_8))
    pack_into(">I", built, 17, calc_crc32c(bytes(built[21:])))
    batch.close()
    batch._buffer = built
    batch.record_count = lambda: 1
    await (await producer.send_batch(batch, topic, partition=number % 2))


async def test_records_with_any_headers_are_applied_and_can_be_dead_letters(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(ONCE)
        users = {f"user-{number}" for number in range(20)}
        values = [json.dumps({"user_id": each, "event": "view"}).encode() for each in sorted(users)]
        async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all") as producer:
            for number, value in enumerate([*values, b"bad", b""]):
                await send(producer, stage.events, number, value)
        worker = stage.worker()
        worker.start()
        await stage.finished()
        bodies = [json.loads(each) for each in (await stage.outcome()).bodies.values()]
        assert {each["user_id"] for each in bodies} == users
        letters = await stage.read(stage.dead_letters)
        assert {dict(each.headers)["error.code"] for each in letters} == {b"not_json"}
        assert [each.value for each in letters] == [b"bad", b""]
        assert all(each.headers[0] == ("\\xff\\xfe".ljust(len(NAME) + 6), b"x") for each in letters)
        worker.stop()
