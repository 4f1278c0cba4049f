"""What is a thread in Faust's aiokafka transport: here tasks of the worker's own loop (decision 10)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import aiokafka
from aiokafka.errors import KafkaError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as stock
from faust.types import TP
from mode.utils.futures import maybe_async

from agents.faust.hooks import Hooked
from agents.kafka.lost_records import LostRecords
from agents.kafka.membership import GroupRefused
from agents.kafka.raw.hooks import RawFetches, use_raw_records

FETCH_MAX_WAIT_MS = 200
"""How long a broker holds an empty fetch; so ``ConsumerThread.log_seen`` may be as stale on an idle log."""


WATCH_SECONDS = 1.0


class Held:
    """What a consumer was assigned when this was made. Ask ``is_current`` after each ``await``: for a
    partition that moved meanwhile aiokafka raises IllegalStateError."""

    def __init__(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        self._coordinator = cast(Any, consumer._coordinator)
        self._subscriptions = consumer._subscription
        self._assignment = self._now()
        self.tps: list[TopicPartition] = sorted(self._assignment.tps) if self._assignment is not None else []

    @property
    def is_current(self) -> bool:
        return self._now() is self._assignment

    async def committed(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """The group's committed offsets; partitions without one are left out."""
        found = await self._coordinator.fetch_committed_offsets(self.tps)
        return {tp: each for tp, each in found.items() if each.offset >= 0}

    def _now(self) -> Any:
        subscription = self._subscriptions.subscription
        return subscription.assignment if subscription is not None else None


@dataclass(frozen=True, slots=True)
class LogSeen:
    """One partition's log as the last fetch told it."""

    position: int
    """Offset of the next record to fetch."""
    stable: int
    """Last stable offset: records from here on are of an open transaction, or after one."""
    end: int
    at_ms: int
    """When it was told, wall clock."""

    @property
    def is_read(self) -> bool:
        """All that can be read was fetched; an open transaction may follow."""
        return self.position >= self.stable


class ConsumerThread(stock.AIOKafkaConsumerThread):
    """The stock thread, as tasks of the loop it is made with, and with a shorter wait for empty fetches
    (1.5 s is fixed in the stock driver)."""

    membership_seen: float | None = 0.0
    """When the latest answered heartbeat was sent (monotonic); None: told that we are no member."""

    def __init__(self, consumer: stock.Consumer, *, loop: asyncio.AbstractEventLoop, **rest: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, **rest)

    async def start(self) -> None:
        """In the place of a thread, which would run ``_serve`` in a loop of its own."""
        self._thread_started.set()
        started = self._thread_running = self.parent_loop.create_future()
        self._serving = self.parent_loop.create_task(self._serve(), name="consumer")
        self._serving.add_done_callback(_look_at_error)  # it is told by ``crash``
        await started

    async def call_thread(self, fun: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        return await maybe_async(fun(*args, **kwargs))

    async def _gather_remaining_tasks(self) -> None:
        """Nothing: the loop's other tasks aren't the consumer's."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        consumer._isolation_level = cast(Hooked, self.app).isolation_level
        start, raw = consumer.start, self._raw_fetches()

        async def start_and_listen() -> None:
            await start()
            coordinator = cast(Any, consumer._coordinator)
            coordinator._do_heartbeat = self._listened(coordinator, coordinator._do_heartbeat)
            if raw is not None:
                use_raw_records(consumer, raw)

        consumer.start = start_and_listen
        return consumer

    def _raw_fetches(self) -> RawFetches | None:
        return cast(Hooked, self.app).hooks.raw

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go back to the committed offsets, and to the beginning of the log where there is none.

        Nothing, if the partitions move meanwhile: their new owner seeks.
        """
        consumer = self._ensure_consumer()
        held = Held(consumer)
        committed = await held.committed()
        if not held.is_current:
            return {}
        fresh: list[TopicPartition] = []
        for tp in held.tps:
            if tp in committed:
                consumer.seek(tp, committed[tp].offset)
            else:
                fresh.append(tp)
        if fresh:
            await consumer.seek_to_beginning(*fresh)
        begun = {tp: committed[tp].offset if tp in committed else None for tp in held.tps}
        hooks = cast(Hooked, self.app).hooks
        moved = await LostRecords(hooks.lost, hooks.taken).at_start(consumer, begun)
        if not held.is_current:
            return {}
        found = {tp: each.offset for tp, each in committed.items()} | moved
        return {cast(TP, tp): offset for tp, offset in found.items()}

    async def watch_group(self) -> None:
        """Raises what ended this member's part in its group for good; stock code would wait for ever."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._consumer is None:
                continue
            try:
                cast(Any, self._consumer._coordinator).check_errors()
            except KafkaError as error:
                group = cast(Any, self.app).conf.id
                raise GroupRefused(
                    f"the consumer group '{group}' does not let this process take part: {error!r}. The "
                    "account needs the right to read the group, and all its members must be of this program"
                ) from error

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit what is still assigned. Stock code crashes when none of it is."""
        assigned = self.assignment()
        offsets = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        return bool(offsets) and await super()._commit(offsets)

    def _listened(
        self, coordinator: Any, beat: Callable[[], Awaitable[bool]]
    ) -> Callable[[], Awaitable[bool]]:
        async def listened() -> bool:
            sent = time.monotonic()
            answered = await beat()
            if answered:
                self.membership_seen = sent
            elif coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID:
                self.membership_seen = None  # the coordinator said so
            return answered

        return listened

    def log_seen(self, tp: TP) -> LogSeen | None:
        """What the last fetch said; None: nothing was fetched yet, or the partition is not ours."""
        consumer = self._consumer
        if consumer is None:
            return None
        subscription = consumer._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        key = TopicPartition(tp.topic, tp.partition)
        if assignment is None or key not in assignment.tps:
            return None
        state = assignment.state_value(key)
        # The position moves when records are handed out, the rest with each fetch response.
        if state._position is None or state.highwater is None or state.timestamp is None:
            return None
        stable = state.lso
        if stable is None or stable < 0 or consumer._isolation_level == "read_uncommitted":
            stable = state.highwater  # asked for as such, or a broker without transactions
        return LogSeen(state._position, min(stable, state.highwater), state.highwater, state.timestamp)


def _look_at_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
