"""What delivery, replays and test sends reach others with, as the settings say: sinks, lookups, Kafka."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Set
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from pydantic import BaseModel, SecretStr

from agents.deliver.content.users import Users
from agents.deliver.contract.sink import SinkContext
from agents.deliver.permissions.own_topics import OwnTopics
from agents.deliver.secrets.secrets import OwnSecrets, Secrets, SecretSources
from agents.kafka.producer import Producer
from app.http.api_keys import digests_in_settings
from app.http.tls import Trust
from app.kafka.configured import broker_of, plan_of
from app.settings.tree import Settings


def context_of(
    settings: Settings, secrets: Secrets, trace: Callable[[object], None] | None = None
) -> SinkContext:
    """What sinks are made with. ``trace`` is given every exchange, secrets not masked."""
    deliver = settings.deliver
    return SinkContext(
        secrets,
        broker_of(settings),
        deliver.allow_private,
        own_topics_of(settings),
        deliver.eventhub_patterns,
        trace,
    )


def own_topics_of(settings: Settings) -> OwnTopics:
    """The topics of our cluster that destinations don't write to."""
    return OwnTopics(plan_of(settings), settings.deliver.writable_sources)


def secrets_of(
    settings: Settings,
    digests: Callable[[], Set[str]] | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    project: str | None = None,
) -> Secrets:
    """The secrets that the settings declare, for one destination; our own are never among them.

    ``digests`` gives the SHA-256 of our API keys; by default of those in the settings and their file.
    ``project`` is the destination's; None: it isn't asked for.
    """
    deliver = settings.deliver
    values: dict[str, str] = {}
    files = [] if settings.file is None else [settings.file]
    for name, value in _all_values(settings):
        if isinstance(value, SecretStr):
            values[name] = value.get_secret_value()
        elif isinstance(value, Path):
            files.append(value)
    own = OwnSecrets(values, digests or partial(digests_in_settings, settings.http), tuple(files))
    return Secrets(SecretSources(deliver.declared_secrets, deliver.secrets_dir, environ, own), project)


def _all_values(section: BaseModel, path: str = "") -> Iterator[tuple[str, object]]:
    """Every setting below a section, by full name."""
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            yield from _all_values(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def users_of(settings: Settings) -> Users:
    """Lookups at a worker."""
    key = settings.deliver.lookup_key
    trust = Trust(settings.http.tls_ca_file)
    return Users(settings.deliver.lookup_url, key.get_secret_value() if key else None, trust)


def new_producer(settings: Settings) -> Producer:
    """For dead letters and definitions; not started."""
    return Producer(broker_of(settings), settings.kafka.idempotence)


def new_consumer(settings: Settings, group: str | None = None) -> AIOKafkaConsumer:
    """A consumer that is given its partitions, by default outside of groups; not started."""
    return AIOKafkaConsumer(
        **broker_of(settings).consumer_options(),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
        fetch_max_wait_ms=100,
    )
