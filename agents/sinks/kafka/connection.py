"""The client of one Kafka destination: made, guarded, made again when it got nothing through."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agents.deliver.contract.sink import SinkContext
from agents.deliver.definitions.destination import KafkaTopic, Secret
from agents.deliver.definitions.hosts import Endpoint, endpoint_of
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable
from agents.kafka.broker import Broker
from agents.kafka.clients import client_options, new_producer
from agents.kafka.security import Security
from agents.sinks.kafka.cluster import cluster_id, own_cluster_id
from agents.sinks.kafka.errors import opening_error
from agents.sinks.kafka.guard import KafkaGuard, guard_producer
from agents.sinks.kafka.own_topics import RefusedTopics

PRODUCE_BATCH_BYTES = 512 * 1024


class KafkaConnection:
    """One producer at a time. ``guard`` is None where the topic is in the service's own cluster."""

    def __init__(self, target: KafkaTopic, context: SinkContext, refused: RefusedTopics) -> None:
        self._target = target
        self._context = context
        self._refused = refused
        self.guard = self._made_guard()
        self._producer: AIOKafkaProducer | None = None
        self._is_stale = False
        self._renewing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Raises SinkUnavailable, SinkMisconfigured."""
        await self.close()
        self._producer = await self._started()

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)
        await asyncio.gather(*self._stopping)

    async def current(self) -> AIOKafkaProducer:
        """The producer, made again when the last sends failed. Raises as ``open`` does."""
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

    def got_nothing_through(self, producer: AIOKafkaProducer) -> None:
        """The next to ask get a new producer, unless this one was replaced meanwhile."""
        self._is_stale = self._is_stale or producer is self._producer

    async def _started(self) -> AIOKafkaProducer:
        """Raises SinkUnavailable, SinkMisconfigured."""
        if self._target.bootstrap is None:
            self._refused.are_those_of(self._context.own_topics)
        producer = await self._connected()
        try:
            if self._target.bootstrap is not None and self._context.own_topics is not None:
                is_ours = await self._is_our_cluster(producer)
                self._refused.are_those_of(self._context.own_topics if is_ours else None)
        except BaseException:
            await _stop(producer)
            raise
        return producer

    async def _is_our_cluster(self, producer: AIOKafkaProducer) -> bool:
        """Also where it may be. Raises SinkUnavailable."""
        try:
            theirs = await cluster_id(producer.client)
        except (KafkaError, OSError) as error:
            raise SinkUnavailable(f"the cluster doesn't say which one it is: {error!r}") from None
        return theirs is None or theirs in (await own_cluster_id(self._context.broker), None)

    async def _connected(self) -> AIOKafkaProducer:
        """Raises SinkUnavailable, SinkMisconfigured."""
        guard = self.guard
        try:
            broker = self.broker()
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

        def allow(endpoint: Endpoint) -> None:
            for secret in used:
                secrets.allow(secret, endpoint)

        return KafkaGuard(allow, self._context.allow_private)

    def broker(self) -> Broker:
        """Where it is, with secrets. Raises SinkMisconfigured."""
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


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError, OSError):
        await producer.stop()
