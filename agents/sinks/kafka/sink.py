"""Kafka destinations: another topic of our cluster or of another one."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from agents.deliver.content.bodies import encode
from agents.deliver.content.variables import field_of
from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import Outcome, Retry, Unknown
from agents.deliver.contract.sink import Lanes, SinkContext
from agents.deliver.definitions.destination import Destination, KafkaTopic, Secret
from agents.deliver.definitions.hosts import Endpoint, endpoint_of
from agents.deliver.definitions.parse_targets import TOPIC_NAME
from agents.deliver.definitions.templates import fill_text
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable, Unsendable
from agents.kafka.broker import Broker
from agents.kafka.clients import client_options, new_producer
from agents.kafka.security import Security
from agents.sinks.kafka.cluster import cluster_id, own_cluster_id
from agents.sinks.kafka.errors import TOO_LARGE, opening_error, opening_outcome, outcome_of
from agents.sinks.kafka.guard import KafkaGuard, guard_producer

LANES = 4
PRODUCE_BATCH_BYTES = 512 * 1024
_partition_of = DefaultPartitioner()


class KafkaSink:
    """One topic, or one per audience.

    A user's record goes when the one before it is acknowledged: where one fails, those of its user that
    follow were not sent. A client that got nothing through is made anew, with secrets looked up again.
    """

    def __init__(self, destination: Destination, context: SinkContext) -> None:
        assert isinstance(destination.target, KafkaTopic)
        self._target = destination.target
        self._context = context
        self._shares_topic = "${audience}" not in destination.target.topic and (
            destination.audiences is None or len(destination.audiences) > 1
        )
        self._guard = self._made_guard()
        self._own = context.own_topics
        """Topics that aren't written to; None: it is another cluster than our own."""
        self._refusals: dict[str, str | None] = {}
        self._producer: AIOKafkaProducer | None = None
        self._is_stale = False
        self._renewing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    async def open(self) -> Lanes:
        await self.close()
        self._producer = await self._started()
        return Lanes(LANES, self._target.batch)

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)
        await asyncio.gather(*self._stopping)

    async def _started(self) -> AIOKafkaProducer:
        """Raises SinkUnavailable, SinkMisconfigured."""
        if self._target.bootstrap is None:
            self._check_topic()
        producer = await self._connected()
        try:
            if self._target.bootstrap is not None and self._context.own_topics is not None:
                self._own = self._context.own_topics if await self._is_our_cluster(producer) else None
                self._check_topic()
        except BaseException:
            await _stop(producer)
            raise
        return producer

    def _check_topic(self) -> None:
        """Raises SinkMisconfigured where every record would go to a topic that isn't written to."""
        self._refusals.clear()
        reason = self._why_not(self._target.topic)
        if reason is not None:
            raise SinkMisconfigured(reason)

    def _why_not(self, topic: str) -> str | None:
        if self._own is None:
            return None
        if topic not in self._refusals:
            self._refusals[topic] = self._own.why_not(topic)
        return self._refusals[topic]

    async def _is_our_cluster(self, producer: AIOKafkaProducer) -> bool:
        """Also where it may be. Raises SinkUnavailable."""
        try:
            theirs = await cluster_id(producer.client)
        except (KafkaError, OSError) as error:
            raise SinkUnavailable(f"the cluster doesn't say which one it is: {error!r}") from None
        return theirs is None or theirs in (await own_cluster_id(self._context.broker), None)

    async def _connected(self) -> AIOKafkaProducer:
        """Raises SinkUnavailable, SinkMisconfigured."""
        guard = self._guard
        try:
            broker = self._broker()
            producer = new_producer(
                broker,
                idempotence=False,
                request_timeout_ms=self._target.timeout_ms,
                max_batch_size=PRODUCE_BATCH_BYTES,
                linger_ms=0,
            )
        except (OSError, ssl.SSLError) as error:
            raise SinkMisconfigured(f"kafka.ssl_cafile can't be read: {error}") from None
        if guard is not None:
            guard.refusal = None
            guard_producer(producer, guard)
        try:
            await producer.start()
            if guard is not None:
                # Otherwise a broker that may not be asked is only found when something is to be sent to it.
                for each in producer.client.cluster.brokers():
                    await guard.check(each.host, each.port)
        except (KafkaError, OSError) as error:
            await producer.stop()
            options = {**client_options(broker), "request_timeout_ms": self._target.timeout_ms}
            raise await opening_error(options, error, guard) from None
        return producer

    def _made_guard(self) -> KafkaGuard | None:
        """None: it is the service's own cluster."""
        target, secrets = self._target, self._context.secrets
        if target.bootstrap is None:
            return None
        used = [each for each in (target.sasl_username, target.sasl_password) if isinstance(each, Secret)]

        def allow(place: Endpoint) -> None:
            for secret in used:
                secrets.allow(secret, place)

        return KafkaGuard(allow, self._context.allow_private)

    async def _current(self) -> AIOKafkaProducer:
        """The producer, made anew when the last sends failed. Raises as ``open`` does."""
        async with self._renewing:
            before = self._producer
            if before is None or self._is_stale:
                self._producer = await self._started()
                self._is_stale = False
                if before is not None:
                    stopping = asyncio.create_task(_stop(before))
                    self._stopping.add(stopping)
                    stopping.add_done_callback(self._stopping.discard)
            assert self._producer is not None
            return self._producer

    def _broker(self) -> Broker:
        target, secrets = self._target, self._context.secrets
        if target.bootstrap is None:
            return self._context.broker
        to = [endpoint_of(each) for each in target.bootstrap.split(",")]
        return Broker(
            ",".join(map(str, to)),  # as they were checked, not as a resolver may read them
            Security(
                target.security_protocol,
                target.sasl_mechanism,
                None if target.sasl_username is None else secrets.text(target.sasl_username, to),
                None if target.sasl_password is None else secrets.get(target.sasl_password, to),
                None if target.ssl_cafile is None else str(secrets.file(target.ssl_cafile)),
            ),
        )

    async def send(self, lane: int, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        try:
            producer = await self._current()
        except (SinkMisconfigured, SinkUnavailable) as error:
            return [opening_outcome(error)] * len(batch)
        outcomes: dict[int, Outcome] = {}
        failed: dict[str, Retry | Unknown] = {}
        for together in _rounds(batch):
            going = [each for each in together if each.user_id not in failed]
            for delivery, result in zip(going, await self._acknowledged(producer, going), strict=True):
                if self._context.trace is not None:
                    self._context.trace({"request": self._shown(delivery), "answer": _answer(result)})
                outcome = outcomes[id(delivery)] = self._outcome(delivery, result)
                if isinstance(outcome, Retry | Unknown):
                    failed[delivery.user_id] = outcome
        is_unknown = any(isinstance(each, Unknown) for each in failed.values())
        if is_unknown and len(failed) == len({each.user_id for each in batch}):
            self._is_stale = self._is_stale or producer is self._producer
        behind = Retry("behind", "an earlier one of this user waits")
        return [outcomes.get(id(each), behind) for each in batch]

    def _outcome(self, delivery: Delivery, result: object) -> Outcome:
        is_error = isinstance(result, KafkaError)
        return outcome_of(result, self._guard, self._topic(delivery) if is_error else "")

    async def _acknowledged(self, producer: AIOKafkaProducer, going: Sequence[Delivery]) -> list[object]:
        """What the brokers said of each, in order: metadata, or an error."""
        records: dict[int, dict[str, Any]] = {}
        sent: list[Any] = []
        for at, delivery in enumerate(going):
            try:
                records[at] = self._record(delivery)
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

    def _record(self, delivery: Delivery) -> dict[str, Any]:
        """Raises Unsendable."""
        target, transition = self._target, delivery.transitions[0]
        topic = self._topic(delivery)
        if TOPIC_NAME.fullmatch(topic) is None or topic in (".", ".."):
            raise Unsendable("invalid_topic", f"not a topic's name: {topic!r}")
        refusal = self._why_not(topic)
        if refusal is not None:
            raise Unsendable("own_topic", refusal)
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

    def _topic(self, delivery: Delivery) -> str:
        transition = delivery.transitions[0]
        return fill_text(self._target.topic, lambda name: getattr(transition, name))

    def _value(self, delivery: Delivery) -> bytes:
        if not self._target.fields:
            return delivery.body
        chosen = {
            name: field_of(delivery, tuple(path.split("."))) for name, path in self._target.fields.items()
        }
        try:
            return encode(chosen)
        except UnicodeEncodeError:
            raise Unsendable("invalid_text", "the record would have half a surrogate pair in it") from None

    def _shown(self, delivery: Delivery) -> dict[str, object]:
        try:
            record = self._record(delivery)
        except Unsendable as error:
            return {"error": error.reason}
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


def _rounds(batch: Sequence[Delivery]) -> list[list[Delivery]]:
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


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError, OSError):
        await producer.stop()
