"""Asking brokers that can't answer yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aiokafka.errors import KafkaError

PATIENCE_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 0.2

Answer = TypeVar("Answer")


async def patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What ``ask`` returns, asked again while the brokers say that they can't answer yet.

    Such as whoever asks first of all for the coordinator of a group: only that makes the topic of offsets.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await ask()
        except (KafkaError, TimeoutError, OSError) as error:
            if (isinstance(error, KafkaError) and not error.retriable) or time.monotonic() > deadline:
                raise
            await asyncio.sleep(_AGAIN_SECONDS)
