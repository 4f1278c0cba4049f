"""How large a record a topic takes: what we ask for, and what a topic says."""

from __future__ import annotations

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

log = structlog.get_logger("turnstile.topics")

LARGE_MESSAGE_BYTES = 8 * 1024 * 1024
"""For topics that must take whatever the input brings and more: dead letters, repartitioning, changelog."""
MAX_MESSAGE_BYTES = "max.message.bytes"
LIKELY_BYTES = 1_000_000
"""Less than the broker's default (1,048,588 bytes), for a broker that doesn't say."""


async def largest_batch_bytes(admin: AIOKafkaAdminClient, topic: str) -> int:
    """What the topic takes in one produce batch, so the largest record with the head of its batch."""
    try:
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        for code, message, _, _, entries in response.resources:
            if code:
                log.warning("topic_limit_unknown", topic=topic, reason=message, taken_bytes=LIKELY_BYTES)
            for name, value, *_ in entries:
                if name == MAX_MESSAGE_BYTES and value is not None:
                    return int(value)
    except KafkaError as error:
        log.warning("topic_limit_unknown", topic=topic, reason=repr(error), taken_bytes=LIKELY_BYTES)
    return LIKELY_BYTES
