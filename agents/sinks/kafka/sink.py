"""Kafka destinations: another topic of our cluster or of another one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import Outcome, Retry, Unknown
from agents.deliver.contract.sink import Lanes, SinkContext
from agents.deliver.definitions.destination import Destination, KafkaTopic
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable, Unsendable
from agents.sinks.kafka.connection import KafkaConnection
from agents.sinks.kafka.errors import TOO_LARGE, opening_outcome, outcome_of
from agents.sinks.kafka.own_topics import RefusedTopics
from agents.sinks.kafka.records import RecordMaker

LANES = 4
_partition_of = DefaultPartitioner()


class KafkaSink:
    """One topic, or one per audience.

    A user's record goes when the one before it is acknowledged: where one fails, those of its user that
    follow were not sent. A client that got nothing through is made again, with secrets looked up again.
    """

    def __init__(self, destination: Destination, context: SinkContext) -> None:
        assert isinstance(destination.target, KafkaTopic)
        self._batch = destination.target.batch
        self._context = context
        refused = RefusedTopics(destination.target.topic, context.own_topics)
        self._connection = KafkaConnection(destination.target, context, refused)
        self._records = RecordMaker(destination, refused)

    async def open(self) -> Lanes:
        await self._connection.open()
        return Lanes(LANES, self._batch)

    async def close(self) -> None:
        await self._connection.close()

    async def send(self, lane: int, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        try:
            producer = await self._connection.current()
        except (SinkMisconfigured, SinkUnavailable) as error:
            return [opening_outcome(error)] * len(batch)
        outcomes: dict[int, Outcome] = {}
        failed: dict[str, Retry | Unknown] = {}
        for together in _one_of_each_user(batch):
            going = [each for each in together if each.user_id not in failed]
            for delivery, result in zip(going, await self._acknowledged(producer, going), strict=True):
                if self._context.trace is not None:
                    self._context.trace({"request": self._records.shown(delivery), "answer": _answer(result)})
                outcome = outcomes[id(delivery)] = self._outcome(delivery, result)
                if isinstance(outcome, Retry | Unknown):
                    failed[delivery.user_id] = outcome
        is_unknown = any(isinstance(each, Unknown) for each in failed.values())
        if is_unknown and len(failed) == len({each.user_id for each in batch}):
            self._connection.got_nothing_through(producer)
        behind = Retry("behind", "an earlier message of this user waits")
        return [outcomes.get(id(each), behind) for each in batch]

    def _outcome(self, delivery: Delivery, result: object) -> Outcome:
        is_error = isinstance(result, KafkaError)
        return outcome_of(result, self._connection.guard, self._records.topic(delivery) if is_error else "")

    async def _acknowledged(self, producer: AIOKafkaProducer, going: Sequence[Delivery]) -> list[object]:
        """What the brokers said of each, in order: metadata, or an error."""
        records: dict[int, dict[str, Any]] = {}
        sent: list[Any] = []
        for at, delivery in enumerate(going):
            try:
                records[at] = self._records.record(delivery)
                sent.append(await producer.send(**records[at]))
            except (KafkaError, Unsendable) as error:
                sent.append(error)
        waited = [each for each in sent if not isinstance(each, KafkaError | Unsendable)]
        answers = iter(await asyncio.gather(*waited, return_exceptions=True))
        results = [each if isinstance(each, KafkaError | Unsendable) else next(answers) for each in sent]
        for at, result in enumerate(results):
            # Brokers judge batches: each of those in one that was too large goes once more by itself.
            if isinstance(result, TOO_LARGE) and not isinstance(sent[at], KafkaError):
                results[at] = await _sent_alone(producer, records[at])
        return results


def _answer(result: Any) -> Mapping[str, object]:
    if isinstance(result, BaseException):
        return {"error": repr(result)}
    return {"partition": result.partition, "offset": result.offset}


def _one_of_each_user(batch: Sequence[Delivery]) -> list[list[Delivery]]:
    """In each round no user twice; each user's deliveries in order."""
    seen: dict[str, int] = {}
    rounds: list[list[Delivery]] = []
    for delivery in batch:
        at = seen.get(delivery.user_id, 0)
        seen[delivery.user_id] = at + 1
        if at == len(rounds):
            rounds.append([])
        rounds[at].append(delivery)
    return rounds


async def _sent_alone(producer: AIOKafkaProducer, record: Mapping[str, Any]) -> object:
    """Send one record in a batch of its own; metadata, or an error."""
    builder = producer.create_batch()
    builder.append(timestamp=None, key=record["key"], value=record["value"], headers=list(record["headers"]))
    try:
        partitions = sorted(await producer.partitions_for(record["topic"]))
        partition = _partition_of(record["key"], partitions, partitions)
        return await (await producer.send_batch(builder, record["topic"], partition=partition))
    except KafkaError as error:
        return error
