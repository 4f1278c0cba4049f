"""Transitions that retention takes before they were read are counted and told, at the start and later."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete

from agents.deliver.consumer.deliverer import Deliverer
from agents.deliver.consumer.faust_app import Start
from agents.deliver.consumer.progress import Backlog
from agents.deliver.input_topics import InputTopics
from tests.stage.delivery import scene, transition
from tests.stage.delivery_engine import destination, lab
from tests.stage.receiver import receiver
from tests.stage.workers import until


async def test_what_retention_takes_from_under_a_waiting_consumer_is_reported(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async def commit(offsets: Mapping[int, int]) -> None:
        raise AssertionError(offsets)

    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage, receiver() as hook:
        text = f"{{name: crm, kind: webhook, webhook: {{url: '{hook.url}'}}}}"
        tp = TopicPartition(stage.transitions, 0)
        topics = InputTopics(stage.transitions, 1, "none", 1, "none")
        new_consumer = partial(
            AIOKafkaConsumer, bootstrap_servers=kafka, auto_offset_reset="earliest", fetch_max_wait_ms=100
        )
        async with lab(text) as made, new_consumer() as reader:
            engine = made.engine
            deliverer = Deliverer(
                destination(text),
                engine,
                None,
                topics,
                new_consumer,
                commit,
                made.bugs.append,  # type: ignore[arg-type]
                Backlog(),
                None,
            )
            await stage.send(transition("u1", seq) for seq in range(1, 7))
            await stage.admin.delete_records({tp: RecordsToDelete(before_offset=2)})
            deliverer.begin({0: Start(2, False, expired=2)})
            assert engine.report.expired == 2
            reader.assign([tp])
            reader.seek(tp, 2)
            (first, *_) = (await reader.getmany(timeout_ms=60_000, max_records=1))[tp]
            await deliverer.take(0, [first])
            # The reader stands still, with a buffer of its own; it is dropped as at a reconnection.
            await stage.send(transition("u1", seq) for seq in range(7, 11))
            await stage.admin.delete_records({tp: RecordsToDelete(before_offset=8)})
            reader.seek(tp, 3)
            rest = (await reader.getmany(timeout_ms=60_000))[tp]
            assert rest[0].offset == 8
            await deliverer.take(0, rest)
            assert engine.report.expired == 2 + 5
            assert "5 records of" in str(engine.report.last_error)
            await until(lambda: len(hook.taken) == 3, "the others are there", 10)
            assert [each["seq"] for each in hook.taken] == [3, 9, 10]
            assert deliverer.committable_offset(0) == 10
            assert not made.bugs
