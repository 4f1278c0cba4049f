"""Outputs that are not known to be in Kafka: they are sent again, with the same ids and bodies."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer

from agents.evaluate.outputs import Outputs, Told
from agents.evaluate.steps import DeadLetter
from agents.kafka.consumed import Consumed
from agents.registry.erasures import Receipt
from agents.topics.written import WrittenTopics
from rules.state.identities import Claim
from rules.state.row import Transition
from tables.codec import Letter

Pending = Transition | Claim | DeadLetter | Receipt
"""An output that is sent again."""


def from_kept(letter: Letter) -> DeadLetter:
    """The dead letter that was kept with a checkpoint."""
    record = Consumed(
        letter.topic,
        letter.partition,
        letter.offset,
        letter.timestamp_ms,
        letter.key,
        letter.value,
        letter.headers,
    )
    return DeadLetter(record, letter.origin, letter.code, letter.message, letter.stage)


async def send_again(
    producer: AIOKafkaProducer, topics: WrittenTopics, pending: list[Pending], told: Told | None = None
) -> None:
    """Send what was in outboxes and wait until the brokers have it."""
    outputs = Outputs(producer, topics, told or Told())
    for output in pending:
        outputs.add_again(output)
    await outputs.send()
