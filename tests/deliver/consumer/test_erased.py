"""Transitions that lie in the topic from before their users were erased."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.deliver.consumer.deliverer import Deliverer
from agents.deliver.consumer.faust_app import Start
from agents.deliver.consumer.progress import Backlog
from agents.deliver.input_topics import InputTopics
from agents.registry.erasures import Erasures, receipt_of, receipt_record
from tables.erased import Erased, pseudonym
from tests.stage.delivery import START_MS, scene, transition
from tests.stage.delivery_engine import destination, lab
from tests.stage.receiver import receiver
from tests.stage.workers import until

MINUTE_MS = 60_000


async def test_who_was_erased_before_a_destination_read_so_far_is_told_as_an_exit_alone(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async def commit(offsets: Mapping[int, int]) -> None:
        raise AssertionError(offsets)

    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage, receiver() as hook:
        text = f"{{name: crm, kind: webhook, webhook: {{url: '{hook.url}'}}}}"
        tp = TopicPartition(stage.transitions, 0)
        topics = InputTopics(stage.transitions, 1, "none", 1, "none")
        new_consumer = partial(AIOKafkaConsumer, bootstrap_servers=kafka, auto_offset_reset="earliest")
        erasures, erased_ms = Erasures("erasures"), START_MS + 4 * MINUTE_MS
        receipt = receipt_of(pseudonym(b"ann"), Erased(erased_ms, {}, {}, ["r"], "default", (0, 0)), 0)
        key, value = receipt_record(receipt)
        await stage.send(
            [
                *(transition("ann", each) for each in (1, 2, 3)),
                transition("bob", 1),
                transition("ann", 4, cause="delete"),
                transition("ann", 5, at_ms=erased_ms),
            ]
        )
        async with lab(text) as made, new_consumer() as reader:
            deliverer = Deliverer(
                destination(text),
                made.engine,
                None,
                topics,
                new_consumer,
                commit,
                made.bugs.append,  # type: ignore[arg-type]
                Backlog(),
                None,
                erasures=erasures,
            )
            reader.assign([tp])
            reader.seek(tp, 0)
            records = (await reader.getmany(timeout_ms=60_000))[tp]
            assert erasures.take(_Published(key, value))
            deliverer.begin({0: Start(0, False)})
            await deliverer.take(0, records)
            await until(lambda: len(hook.taken) == 3, "the others are there", 10)
            assert {(each["user_id"], each["seq"]) for each in hook.taken} == {
                ("bob", 1),
                ("ann", 4),
                ("ann", 5),
            }
            assert deliverer.committable_offset(0) == len(records)
            assert made.engine.report.filtered == 3
            assert not made.bugs


class _Published:
    def __init__(self, key: bytes, value: bytes) -> None:
        self.key, self.value, self.offset = key, value, 0
