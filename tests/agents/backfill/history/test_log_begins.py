"""Where the source topics begin, with the history before them."""

from __future__ import annotations

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from agents.backfill.history.completeness import LogBegin
from agents.backfill.history.log_begins import log_begins
from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_consumer, new_producer
from agents.topics import create_topics
from tests.stage.scene import KEPT

T = 1_700_000_000_000


async def test_a_log_begins_with_its_first_record_or_that_of_its_users_history(
    kafka: str, topic_prefix: str
) -> None:
    broker, source, past = Broker(kafka), f"{topic_prefix}.events", f"{topic_prefix}.history"
    admin = new_admin(broker)
    await admin.start()
    await create_topics(admin, {source: (4, KEPT), past: (2, KEPT)}, 1)
    async with new_producer(broker, idempotence=False) as producer:
        for partition in (0, 1, 2):
            for number in range(3):
                at_ms = T + 1000 * partition + number
                await producer.send_and_wait(source, b"{}", partition=partition, timestamp_ms=at_ms)
        await producer.send_and_wait(past, b"{}", partition=1, timestamp_ms=T - 5)
    await admin.delete_records(
        {TopicPartition(source, 0): RecordsToDelete(1), TopicPartition(source, 1): RecordsToDelete(3)}
    )
    await admin.close()
    async with new_consumer(broker) as consumer:
        begins = await log_begins(consumer, [source, "missing"], [past], {source: 4, past: 2}, 2)
        whole = await log_begins(consumer, [past], [], {past: 2}, 2)
    assert begins == [
        LogBegin(f"{source}/0", T + 1),  # nothing is known of these users from before
        LogBegin(f"{source}/1", T - 5),
        LogBegin(f"{source}/2", None, whole=True),
        LogBegin(f"{source}/3", T - 5, whole=True),
    ]
    assert all(each.whole for each in whole)
