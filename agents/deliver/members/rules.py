"""The rules of a project as they are published now: which audiences there are, when their members leave."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaConsumer

from agents.registry.audiences import Audiences, Parse
from agents.registry.audiences_together import compile_usable
from agents.registry.topic import read_all
from rules.compile.project_rules import ProjectRules

log = structlog.get_logger("turnstile.deliver")


async def read_rules(
    new_consumer: Callable[[], AIOKafkaConsumer], topic: str, project: str, parse: Parse, max_samples: int
) -> ProjectRules:
    """Those that workers have: of a definition that can't be read, the one before it."""
    async with new_consumer() as consumer:
        found = await read_all(consumer, Audiences(topic, parse))
    for told in found.unusable.values():
        # Workers also warn of it.
        log.error("definition_unreadable", topic=topic, offset=told.offset, error=told.reason)
    rules, _ = compile_usable(found.published, max_samples)
    return rules.project(project)
