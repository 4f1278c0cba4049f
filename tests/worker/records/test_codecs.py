"""Every compression codec of Kafka, on sources and on our own topics, by producers and by brokers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatch, LegacyRecordBatchBuilder

from agents.kafka.topic_limits import LARGE_MESSAGE_BYTES
from agents.topics import create_topics
from tests.stage.log import START_MS
from tests.stage.scene import KEPT, Scene, scene
from tests.stage.topics import configure
from tests.worker.commands.test_definitions import command

CODECS = ("gzip", "snappy", "lz4", "zstd")
OURS = {"transitions": "snappy", "rekeyed": "lz4", "audiences": "gzip"}
ONCE = "audiences: [{id: once, name: Once, rule: {event: view}}]"
USERS = 50


async def produce(stage: Scene, topic: str, codec: str | None, users: list[str]) -> None:
    """Views in batches that a codec makes smaller, to the wrong partitions as well as to the right ones."""
    async with AIOKafkaProducer(
        bootstrap_servers=stage.bootstrap, compression_type=codec, linger_ms=50, acks="all"
    ) as producer:
        for number, name in enumerate(users):
            value = {"user_id": name, "event": "view", "properties": {"text": "all alike " * 20}}
            await producer.send(
                topic, json.dumps(value).encode(), name.encode(), number % 2, timestamp_ms=START_MS + number
            )
        await producer.flush()


async def test_records_of_every_codec_are_read_everywhere(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        # By the producer, and by the broker, which keeps what comes in its topic's own codec.
        events = {f"{topic_prefix}.in-{codec}": codec for codec in CODECS}
        events |= {f"{topic_prefix}.kept-{codec}": codec for codec in CODECS}
        await create_topics(
            stage.admin,
            {
                name: (2, {**KEPT, "compression.type": codec if "kept" in name else "producer"})
                for name, codec in events.items()
            },
            1,
        )
        large = {"max.message.bytes": str(LARGE_MESSAGE_BYTES)}
        compacted = {**large, "cleanup.policy": "compact", "compression.type": "zstd"}
        await create_topics(stage.admin, {stage.changelog: (2, compacted)}, 1)
        for name, codec in OURS.items():
            await configure(stage.admin, f"{topic_prefix}.{name}", {"compression.type": codec})
        await stage.define(ONCE)
        users = {name: [f"{codec}-{number}" for number in range(USERS)] for name, codec in events.items()}
        for name, codec in events.items():
            await produce(stage, name, None if "kept" in name else codec, users[name])
        worker = stage.worker(worker__id="w1", topics__events=json.dumps(list(events)))
        worker.start()
        await stage.reach(len(CODECS) * USERS)
        worker.kill()
        worker.wipe()
        worker.start()
        await worker.wait_ready()
        entered = {json.loads(each)["user_id"] for each in (await stage.outcome()).bodies.values()}
        assert entered == {each for names in users.values() for each in names}
        for codec in CODECS:
            answer = await worker.get(f"/v1/audiences/once/members/{codec}-7")
            assert answer == (200, answer[1])
            assert answer[1]["member"] is True
        assert "once" in command(stage, "audiences", "list").stdout
        worker.stop()


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_batches_of_a_codec_read_back(codec: int) -> None:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, 0, 100_000)
    for number in range(100):
        builder.append(number, 5, key=b"k", value=b"alike " * 20, headers=[])
    batch = DefaultRecordBatch(bytes(builder.build()))
    assert batch.compression_type == codec
    assert [each.value for each in batch] == [b"alike " * 20] * 100


@pytest.mark.parametrize(("codec", "magic"), [(1, 0), (2, 0), (1, 1), (2, 1), (3, 1)])
def test_batches_of_old_versions_read_back(codec: int, magic: int) -> None:
    """Those that a topic from before Kafka 0.11 still holds; lz4 came later, and zstd after them."""
    builder = LegacyRecordBatchBuilder(magic, codec, 100_000)
    for number in range(100):
        builder.append(number, 5, key=b"k", value=b"alike " * 20)
    batch = LegacyRecordBatch(bytes(builder.build()), magic)
    assert [each.value for each in batch] == [b"alike " * 20] * 100
