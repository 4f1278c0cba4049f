"""What delivery, replays and test sends reach others with, as the settings say: sinks, lookups, Kafka."""

from __future__ import annotations

from collections.abc import Callable

from agents.deliver.content.users import Users
from agents.deliver.contract.sink import SinkContext
from agents.deliver.secrets.secrets import Secrets
from agents.kafka.producer import Producer
from app.http.tls import Trust
from app.kafka.configured import broker_of
from app.publish.permitted import own_topics_of
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


def users_of(settings: Settings) -> Users:
    """Lookups at a worker."""
    key = settings.deliver.lookup_key
    trust = Trust(settings.http.tls_ca_file)
    return Users(settings.deliver.lookup_url, key.get_secret_value() if key else None, trust)


def new_producer(settings: Settings) -> Producer:
    """For dead letters and definitions; not started."""
    return Producer(broker_of(settings), settings.kafka.idempotence)
