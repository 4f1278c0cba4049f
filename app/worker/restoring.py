"""What opens the stores of a worker's partitions, as the settings say."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from agents.evaluate.native.engine import Engine
from agents.identities.follower import IdentityFollower
from agents.identities.owner import OwnerOfClaims
from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer, new_consumer
from agents.kafka.producer import Producer
from agents.registry.erasures import Erasures
from agents.registry.feed import Feed
from agents.restore.ahead import Job
from agents.restore.restorer import Restorer
from agents.topics.written import WrittenTopics
from agents.warnings import Warnings
from app.settings.limits import limits_of
from app.settings.tree import Settings
from tables.store import RocksMemory


def restorer_of(
    settings: Settings, broker: Broker, topics: WrittenTopics, warnings: Warnings, engine: Engine
) -> Restorer:
    """The restorer of one worker; its partitions share the memory that the settings allow."""
    cache, folder = settings.cache, settings.worker.data_dir
    memory = RocksMemory.of(cache.block_bytes, cache.write_buffer_bytes)
    rows = max(1000, cache.rows // max(1, topics.partitions))
    job = Job(broker, topics, str(folder), cache.block_bytes, cache.write_buffer_bytes)
    limits = limits_of(settings)
    consumer = partial(new_consumer, broker)
    return Restorer(consumer, Path(folder), memory, topics, limits, rows, job, warnings, engine)


def follower_of(
    settings: Settings,
    broker: Broker,
    topics: WrittenTopics,
    warnings: Warnings,
    producer: Producer,
    erasures: Feed[Erasures],
) -> IdentityFollower:
    """What follows the claims of identities, with a small part of the memory that the rows have."""
    cache = settings.cache
    return IdentityFollower(
        partial(committed_consumer, broker),
        topics.identities,
        topics.identities_id,
        Path(settings.worker.data_dir),
        RocksMemory.of(cache.block_bytes // 8, cache.write_buffer_bytes // 4),
        warnings,
        owner=OwnerOfClaims(producer, topics.identities, erasures),
    )
