"""Whether Kafka answers: one line when it is lost, one when it is back, and the state for those who ask.

A connection of its own asks some broker every two seconds. The client libraries' own lines, hundreds a
second, say only which request failed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import ApiVersionRequest

from agents.kafka.broker import Broker
from agents.kafka.clients import new_client
from agents.warnings import Warnings

ASK_SECONDS = 2.0
ANSWER_MS = 5_000
FAILURES = 2
"""So many in a row mean that Kafka is lost; one may be a broker that restarts."""
LOST = "kafka_lost"
_OPTIONS = {"request_timeout_ms": ANSWER_MS, "metadata_max_age_ms": 3_600_000}


class KafkaWatch:
    """Watches the brokers of one process. ``left_out`` tells how many lines of libraries were left out."""

    def __init__(self, broker: Broker, warnings: Warnings, left_out: Callable[[], int] = lambda: 0) -> None:
        self._broker = broker
        self._warnings = warnings
        self._left_out = left_out
        self._failures = 0
        self._failed_at = 0.0
        self._left_out_before = 0
        self._failed_ms = 0
        self.lost_since_ms: int | None = None
        """When the first question was not answered (wall clock ms); None: Kafka answers."""

    async def run(self) -> None:
        """Watch until cancelled; raises nothing else."""
        client: AIOKafkaClient | None = None
        try:
            while True:
                if client is None:
                    client = new_client(self._broker, **_OPTIONS)
                try:
                    await self._ask(client)
                except (KafkaError, OSError, TimeoutError) as error:
                    self.unanswered(error)
                    with suppress(Exception):
                        await client.close()
                    client = None
                else:
                    self.answered()
                await asyncio.sleep(ASK_SECONDS)
        finally:
            if client is not None:
                with suppress(Exception):
                    await client.close()

    async def _ask(self, client: AIOKafkaClient) -> None:
        """Returns when some broker answers."""
        async with asyncio.timeout(2 * ANSWER_MS / 1000):
            known = [each.nodeId for each in client.cluster.brokers()]
            for number in known:
                with suppress(KafkaError):
                    await client.send(number, ApiVersionRequest())
                    return
            # None is known yet, or all have moved.
            await client.bootstrap()

    def answered(self) -> None:
        self._failures = 0
        if self.lost_since_ms is None:
            return
        self.lost_since_ms = None
        seconds, lines = time.monotonic() - self._failed_at, self._left_out() - self._left_out_before
        text = f"Kafka at {self._broker.bootstrap} is back after {seconds:.1f} s"
        if lines:
            text += f"; {lines} repeated lines of the client libraries were left out"
        self._warnings.clear(LOST, self._broker.bootstrap, text)

    def unanswered(self, error: BaseException) -> None:
        if not self._failures:
            self._failed_at, self._failed_ms = time.monotonic(), time.time_ns() // 1_000_000
            self._left_out_before = self._left_out()
        self._failures += 1
        if self._failures < FAILURES or self.lost_since_ms is not None:
            return
        self.lost_since_ms = self._failed_ms
        self._warnings.note(
            LOST,
            self._broker.bootstrap,
            f"Kafka at {self._broker.bootstrap} (kafka.bootstrap) is lost: no broker answers "
            f"({type(error).__name__}: {error}). Nothing is read or written until one does",
        )
