"""``turnstile deliver status``: Kafka tells lag and dead letters, a delivery worker tells the rest."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.deliver.definitions.published import PublishedDestination, group_of
from agents.kafka.clients import new_consumer
from agents.kafka.patience import patiently
from agents.topics import existing
from agents.topics.delivery import dead_letter_topic
from app.deliver.replay import replay_group
from app.failures import CommandFailed
from app.http.tls import Trust
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.publish.topics import DefinitionTopics
from app.settings.tree import Settings


@dataclass(slots=True)
class Status:
    """One destination. ``lag`` None: it never started; ``live`` None: no delivery worker told of it."""

    name: str
    kind: str
    lag: int | None
    dead_letters: int | None
    """In the topic, not replayed yet; None: not known, because Kafka can't be reached."""
    live: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Statuses:
    """All published destinations, by name."""

    each: list[Status]
    kafka_silent: str | None = None
    """Why Kafka told nothing of them; None: it did."""
    worker_silent: str | None = None
    """Why no delivery worker told of them; None: one did."""


class _Silent(Exception):
    """No delivery worker tells anything; the message says why."""


async def read_statuses(settings: Settings) -> Statuses:
    """From Kafka and from the delivery worker; from the latter alone while Kafka can't be reached.

    Raises CommandFailed when neither answers.
    """
    live: Mapping[str, Mapping[str, Any]] = {}
    worker_silent = None
    try:
        live = await _live(settings)
    except _Silent as silent:
        worker_silent = str(silent)
    try:
        return Statuses(await _from_kafka(settings, live), worker_silent=worker_silent)
    except CommandFailed as error:
        if worker_silent is not None:
            raise CommandFailed(f"{error}. Nothing is known, because {worker_silent}") from None
        kafka_silent = (
            f"{error}. What follows is what the delivery worker at {_url(settings)} knows: "
            "lag and dead letters are not known"
        )
        return Statuses(
            [Status(name, each["kind"], None, None, each) for name, each in sorted(live.items())],
            kafka_silent=kafka_silent,
        )


async def _from_kafka(settings: Settings, live: Mapping[str, Mapping[str, Any]]) -> list[Status]:
    async with connected_admin(settings) as admin:
        topics = DefinitionTopics(settings, tells=True)
        published = (await topics.read(topics.destinations)).live()
        if not published:
            return []  # a consumer that is stopped before it was used for anything raises CancelledError
        consumer = new_consumer(broker_of(settings))
        await consumer.start()
        try:
            return [
                await _status(settings, admin, consumer, each, live.get(each.definition.name))
                for each in published
            ]
        finally:
            await consumer.stop()


async def _status(
    settings: Settings,
    admin: AIOKafkaAdminClient,
    consumer: AIOKafkaConsumer,
    published: PublishedDestination,
    live: Mapping[str, Any] | None,
) -> Status:
    prefix, name = settings.topics.prefix, published.definition.name
    transitions = await _ends(admin, consumer, plan_of(settings).transitions)
    committed = await _committed(admin, group_of(prefix, published))
    lag = None
    if any(tp in committed for tp in transitions):
        lag = sum(max(0, end - committed.get(tp, end)) for tp, end in transitions.items())
    letters = await _ends(admin, consumer, dead_letter_topic(prefix, name))
    starts = await consumer.beginning_offsets(list(letters)) if letters else {}
    replayed = await _committed(admin, replay_group(prefix, published))
    dead = sum(end - max(starts[tp], replayed.get(tp, 0)) for tp, end in letters.items())
    return Status(name, published.definition.kind, lag, dead, live)


async def _ends(
    admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, name: str
) -> Mapping[TopicPartition, int]:
    partitions = (await existing(admin)).get(name, 0)
    tps = [TopicPartition(name, each) for each in range(partitions)]
    return await consumer.end_offsets(tps) if tps else {}


async def _committed(admin: AIOKafkaAdminClient, group: str) -> Mapping[TopicPartition, int]:
    held = await patiently(partial(admin.list_consumer_group_offsets, group))
    return {tp: each.offset for tp, each in held.items() if each.offset >= 0}


async def _live(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    """By name, from the delivery worker at ``deliver.host:deliver.port``. Raises _Silent."""
    key = settings.deliver.lookup_key
    headers = {"api-key": key.get_secret_value()} if key else {}
    url = f"{_url(settings)}/v1/destinations"
    trust = Trust(settings.http.tls_ca_file)()
    if isinstance(trust, ssl.SSLContext):
        trust.check_hostname = False  # the address listened on is this machine's, and in no certificate
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(url, headers=headers, allow_redirects=False, ssl=trust) as answer,
        ):
            if answer.status in (401, 403):
                raise _Silent(
                    f"the delivery worker at {_url(settings)} refuses the key (status {answer.status}): "
                    "deliver.lookup_key must be a good key that also has the scope destinations"
                )
            if answer.status != 200:
                raise _Silent(f"{url} answers with the status {answer.status}")
            body = await answer.json()
            return {each["name"]: each for each in body["destinations"]}
    except (aiohttp.ClientError, TimeoutError):
        raise _Silent(
            f"no delivery worker answers at {_url(settings)} (deliver.host, deliver.port)"
        ) from None


def _url(settings: Settings) -> str:
    return f"{settings.http.scheme}://{settings.deliver.host}:{settings.deliver.port}"
