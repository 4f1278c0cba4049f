"""The controller answers before its brokers have heard of a change: wait until each of them shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError, RequestTimedOutError

from agents.topics.fault import TopicsUnusable
from agents.topics.look import Topic, look

SHOWN_SECONDS: Final = 20.0
"""How long brokers may take to show what was changed."""
SHOWN_AGAIN_SECONDS: Final = 0.02


async def until_everywhere(
    admin: AIOKafkaAdminClient,
    names: Collection[str],
    is_shown: Callable[[Mapping[str, Topic]], bool],
    what: str,
    configs_of: Collection[str] = (),
) -> None:
    """Wait until ``is_shown`` holds for those of the topics that a broker shows, at each broker that answers.

    ``what`` was done, for TopicsUnusable, which is raised after SHOWN_SECONDS.
    """

    async def is_everywhere() -> bool:
        answered = False
        for broker in admin._client.cluster.brokers():
            try:
                cluster = await look(admin, names, configs_of, broker.nodeId)
            except (KafkaConnectionError, NodeNotReadyError, RequestTimedOutError):
                continue  # a broker that is down shows it when it comes back
            except KafkaError:
                return False
            answered = True
            if not is_shown(cluster.topics):
                return False
        return answered

    try:
        async with asyncio.timeout(SHOWN_SECONDS):
            while not await is_everywhere():
                await asyncio.sleep(SHOWN_AGAIN_SECONDS)
    except TimeoutError:
        raise TopicsUnusable(f"{what}, but not every broker shows it after {SHOWN_SECONDS:g} s") from None
