"""The one way to make a client of Kafka: where it is and how it is secured is said here, for all of them.

Faust makes its own consumer and producer, with ``agents.faust.credentials``; everything else goes through
these functions (``tests/agents/kafka/test_clients.py``). From the first client on asking for a topic doesn't
make it, and every record can be read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient

from agents.kafka.broker import Broker
from agents.kafka.requests import never_create_by_asking
from agents.kafka.security import Security
from agents.kafka.unreadable_fetches import read_every_record

FETCH_BYTES: Final = 4 * 1024 * 1024
"""Of one partition at once."""
FETCH_WAIT_MS: Final = 100
END_SECONDS: Final = 1.0
"""How long a client may take to end when whoever waits for that is cancelled."""


class _WithoutCredentials(logging.Filter):
    """aiokafka logs whole requests when the level is debug, those that authenticate with their passwords."""

    def filter(self, record: logging.LogRecord) -> bool:
        given = record.args if isinstance(record.args, tuple) else ()
        return not any(type(each).__name__.startswith("SaslAuthenticate") for each in given)


_WITHOUT_CREDENTIALS: Final = _WithoutCredentials()


async def _ended(end: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """aiokafka takes a cancellation that comes while a client ends for one of its own tasks': whoever asked
    for the end would go on, although it was cancelled. Or it leaves connections and tasks open."""
    ending = asyncio.create_task(end())
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await asyncio.wait([ending], timeout=END_SECONDS)
        if not ending.cancel() and not ending.cancelled():
            ending.exception()  # nobody waits for it any more
        raise


class EndingConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    async def stop(self) -> None:
        await _ended(super().stop)


class EndingProducer(AIOKafkaProducer):  # type: ignore[misc]
    async def stop(self) -> None:
        await _ended(super().stop)


class EndingAdmin(AIOKafkaAdminClient):  # type: ignore[misc]
    async def close(self) -> None:
        await _ended(super().close)


class EndingClient(AIOKafkaClient):  # type: ignore[misc]
    async def close(self) -> None:
        await _ended(super().close)


def client_options(broker: Broker) -> dict[str, Any]:
    """Keyword arguments of every aiokafka client. Raises OSError, ssl.SSLError for unusable certificates."""
    never_create_by_asking()
    read_every_record()
    return {"bootstrap_servers": broker.bootstrap, **security_options(broker.security)}


def security_options(security: Security) -> dict[str, Any]:
    """What of ``client_options`` says how connections are secured."""
    options: dict[str, Any] = {"security_protocol": security.protocol}
    if security.uses_tls:
        options["ssl_context"] = security.ssl_context()
    if security.uses_sasl:
        logging.getLogger("aiokafka.conn").addFilter(_WITHOUT_CREDENTIALS)
        options["sasl_mechanism"] = security.mechanism
        if security.mechanism == "OAUTHBEARER":
            from agents.kafka.tokens import Tokens, tell_refused_tokens

            assert security.oauth is not None
            tell_refused_tokens()
            options["sasl_oauth_token_provider"] = Tokens(security.oauth)
        else:
            options["sasl_plain_username"] = security.sasl_username
            options["sasl_plain_password"] = security.sasl_password
    return options


def new_consumer(broker: Broker, group: str | None = None, **varied: Any) -> AIOKafkaConsumer:
    """A consumer that is assigned its partitions, by default outside of groups; not started.

    ``varied``: sizes, and what it does where records are gone.
    """
    options: dict[str, Any] = {
        "group_id": group,
        "isolation_level": broker.isolation_level,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": FETCH_BYTES,
        "fetch_max_wait_ms": FETCH_WAIT_MS,
    }
    return EndingConsumer(**client_options(broker), **{**options, **varied})


def committed_consumer(broker: Broker) -> AIOKafkaConsumer:
    """For topics of ours: of records in a transaction only those that were committed.

    ``kafka.isolation_level`` is about records of others. A definition in a transaction that failed was never
    published.
    """
    return new_consumer(replace(broker, isolation_level="read_committed"))


def new_producer(broker: Broker, *, idempotence: bool, **varied: Any) -> AIOKafkaProducer:
    """A producer for which a record is written when all replicas have it; not started.

    ``varied``: sizes and times. Workers and deliverers have ``agents.kafka.producer``, which goes on after a
    refused batch.
    """
    return EndingProducer(**{**client_options(broker), **varied}, acks="all", enable_idempotence=idempotence)


def new_admin(broker: Broker, **varied: Any) -> AIOKafkaAdminClient:
    """An admin client; not started. ``varied``: times."""
    return EndingAdmin(**client_options(broker), **varied)


def new_client(broker: Broker, **varied: Any) -> AIOKafkaClient:
    """A bare connection to the cluster, for single requests; not bootstrapped. ``varied``: times."""
    return EndingClient(**client_options(broker), **varied)
