"""Kafka destinations: another topic of our cluster or of another one."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from agents.broker import Broker
from agents.deliver.bodies import encode
from agents.deliver.destination import Destination, KafkaTopic
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable
from agents.deliver.sink import (
    DELIVERED,
    Delivery,
    Lanes,
    Outcome,
    Refused,
    Retry,
    SinkContext,
    Unknown,
)
from agents.deliver.templates import field_of, fill_text

LANES = 4
PRODUCE_BATCH_BYTES = 512 * 1024


class KafkaSink:
    """One topic, or one per audience.

    aiokafka has one batch a partition under way, so a lane's records keep their order. Where one fails all
    the same, those of its user that follow are sent again behind it.
    """

    def __init__(self, destination: Destination, context: SinkContext) -> None:
        assert isinstance(destination.target, KafkaTopic)
        self._target = destination.target
        self._context = context
        self._shares_topic = "${audience}" not in destination.target.topic and (
            destination.audiences is None or len(destination.audiences) > 1
        )
        self._producer: AIOKafkaProducer | None = None

    async def open(self) -> Lanes:
        await self.close()
        try:
            options = self._broker().client_options()
        except (OSError, ssl.SSLError) as error:
            raise SinkMisconfigured(f"kafka.ssl_cafile can't be read: {error}") from None
        producer = AIOKafkaProducer(
            **options,
            acks="all",
            enable_idempotence=False,
            max_batch_size=PRODUCE_BATCH_BYTES,
            linger_ms=0,
            request_timeout_ms=self._target.timeout_ms,
        )
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise SinkUnavailable(f"no connection to {options['bootstrap_servers']}: {error!r}") from None
        self._producer = producer
        return Lanes(LANES, self._target.batch)

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, OSError):
                await producer.stop()

    def _broker(self) -> Broker:
        target, secrets = self._target, self._context.secrets
        if target.bootstrap is None:
            return self._context.broker
        return Broker(
            target.bootstrap,
            target.security_protocol,
            target.sasl_mechanism,
            None if target.sasl_username is None else secrets.text(target.sasl_username),
            None if target.sasl_password is None else secrets.get(target.sasl_password),
            target.ssl_cafile,
        )

    async def send(self, lane: int, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        producer = self._producer
        assert producer is not None
        futures: list[Any] = []
        for delivery in batch:
            try:
                futures.append(await producer.send(**self._record(delivery)))
            except KafkaError as error:
                futures.append(error)
        results = await asyncio.gather(
            *(each for each in futures if not isinstance(each, KafkaError)), return_exceptions=True
        )
        acknowledged = iter(results)
        found = [each if isinstance(each, KafkaError) else next(acknowledged) for each in futures]
        if self._context.trace is not None:
            for delivery, each in zip(batch, found, strict=True):
                self._context.trace({"request": self._shown(delivery), "answer": _answer(each)})
        outcomes = [_outcome(each) for each in found]
        failed: set[str] = set()
        for at, (delivery, outcome) in enumerate(zip(batch, outcomes, strict=True)):
            if delivery.user_id in failed:
                outcomes[at] = Unknown("behind", "an earlier one of this user waits")
            elif isinstance(outcome, Retry | Unknown):
                failed.add(delivery.user_id)
        return outcomes

    def _record(self, delivery: Delivery) -> dict[str, Any]:
        target, transition = self._target, delivery.transitions[0]
        topic = fill_text(target.topic, lambda name: getattr(transition, name))
        key = delivery.id_sent
        if target.membership and self._shares_topic:
            key = f"{transition.audience}/{key}"
        gone = target.membership and transition.event == "exit"
        return {
            "topic": topic,
            "key": key.encode("utf-8", "surrogatepass"),
            "value": None if gone else self._value(delivery),
            "headers": [("ce_id", delivery.id.encode()), ("content-type", b"application/json")],
        }

    def _value(self, delivery: Delivery) -> bytes:
        if not self._target.fields:
            return delivery.body
        return encode(
            {name: field_of(delivery, tuple(path.split("."))) for name, path in self._target.fields.items()}
        )

    def _shown(self, delivery: Delivery) -> dict[str, object]:
        record = self._record(delivery)
        return {
            "topic": record["topic"],
            "key": record["key"].decode("utf-8", "replace"),
            "value": None if record["value"] is None else record["value"].decode("utf-8", "replace"),
            "headers": {name: value.decode() for name, value in record["headers"]},
        }


def _answer(result: Any) -> Mapping[str, object]:
    if isinstance(result, BaseException):
        return {"error": repr(result)}
    return {"partition": result.partition, "offset": result.offset}


def _outcome(result: object) -> Outcome:
    if not isinstance(result, BaseException):
        return DELIVERED
    name = type(result).__name__
    if isinstance(result, MessageSizeTooLargeError | RecordTooLargeError):
        return Refused("too_large", f"the record is larger than the topic takes: {result}")
    if isinstance(result, InvalidTopicError):
        return Refused("invalid_topic", f"not a topic's name: {result}")
    if isinstance(result, UnknownTopicOrPartitionError):
        return Retry("no_topic", f"there is no such topic: {result}", 10.0, whole=True)
    if isinstance(result, TopicAuthorizationFailedError):
        return Retry("not_authorized", f"may not write: {result}", 60.0, whole=True)
    if isinstance(result, KafkaError):
        return Unknown("kafka", f"{name}: {result}", whole=True)
    raise result
