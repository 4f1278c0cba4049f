"""Batches of outputs that a topic refuses."""

from __future__ import annotations

from typing import Any

from agents.evaluate.lots import Lot, Sent
from agents.evaluate.outputs import Outputs, Told
from agents.evaluate.steps import DeadLetter
from agents.kafka.producer import InvalidRecordError
from tests.driver.driver import EVENTS, Rec
from tests.driver.kafka import Producer, TopicLog, run


class Keyed(Producer):
    """A compacted topic: it takes no record without a key, and nothing of a batch that has one."""

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        if any(not each["key"] for each in batch.records):
            refused = run_later(InvalidRecordError())
            return refused
        return await super().send_batch(batch, topic, partition=partition)


async def run_later(error: BaseException) -> Any:
    raise error


def test_a_record_that_a_topic_never_takes_makes_no_batch_smaller() -> None:
    log, told = TopicLog(), Told()
    producer: Any = Keyed(lambda topic, partition: log, lambda: None, {})
    topics: Any = None
    lot = Lot(producer, told.limits, "events.dlq", 0, Outputs(producer, topics, told))
    for number in range(20):
        record = Rec(EVENTS, 0, number, 0, None if number == 7 else b"k", b"v")
        sent: Sent = None, record.key, record.value, []
        lot.add(sent, DeadLetter(record, (EVENTS, 0, number), "not_json", "bad", "decode"))
    run(lot.send())
    assert len(log.records) == 19
    assert told.limits.batch_bytes == {}
    assert [each.code for each in told.warnings.active()] == ["dead_letter_refused"]
