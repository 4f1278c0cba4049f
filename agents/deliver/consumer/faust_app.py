"""The Faust app of one destination: an agent on the transitions topic, in a consumer group of its own.

The worker's transport (``agents.faust.transport``) brings batches. What differs: offsets are those that
``agents.deliver.consumer.progress`` says are delivered, record by record; a group begins where
``agents.deliver.definitions.starts`` decided, and that is committed at once; and before partitions move, what
isn't delivered is let go instead of waited for, because a dead destination may need days.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import faust
from aiokafka.errors import CommitFailedError
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from agents.deliver.definitions.starts import MEMBERS_FIRST, FirstStart
from agents.faust.app import faust_options
from agents.faust.batch import Poll
from agents.faust.consumer_thread import ConsumerThread, Held
from agents.faust.transport import Consumer, Transport
from agents.kafka.broker import Broker, IsolationLevel

POLL_RECORDS = 2_000
LONGEST_POLL_PAUSE_SECONDS = 20 * 86_400.0
"""A dead destination stops the polls; that is no reason to leave the group."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a partition is taken up: offset, whether members go first, and how many records are gone."""

    offset: int
    members_first: bool
    expired: int = 0


class DeliveryTask(Protocol):
    """What the app calls."""

    def committable_offset(self, partition: int) -> int | None:
        """The offset that may be committed; None: none yet."""

    async def let_go(self) -> None:
        """Forget all messages that aren't delivered."""

    def begin(self, starts: Mapping[int, Start]) -> None:
        """Partitions were assigned."""

    async def take(self, partition: int, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Records in log order."""


class DeliverThread(ConsumerThread):
    """Begins where it was decided, and commits that at once."""

    def __init__(self, consumer: Consumer, first_start: FirstStart, **rest: Any) -> None:
        super().__init__(consumer, **rest)
        self.starts: dict[int, Start] = {}
        """Where the assigned partitions were taken up."""
        self._first_start = first_start

    def _raw_fetches(self) -> None:
        """None: records are looked at one by one."""

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Go to the committed offsets; where there are none, to where the destination begins.

        Nothing, if the partitions move meanwhile: their new owner begins again.
        """
        self.starts = {}
        consumer = self._ensure_consumer()
        held = Held(consumer)
        if not held.tps:
            return {}
        committed = await held.committed()
        if not held.is_current:
            return {}
        fresh = [tp for tp in held.tps if tp not in committed]
        if fresh:
            begun = {tp: self._first_start.committed(tp.partition) for tp in fresh}
            try:
                await consumer.commit(begun)
            except CommitFailedError:  # the group rebalances: the next owner commits the same
                return {}
            committed = {**committed, **begun}
        kept = await consumer.beginning_offsets(held.tps)
        if not held.is_current:
            return {}
        offsets: dict[Any, int] = {}
        for tp, each in committed.items():
            offset = max(each.offset, kept[tp])
            consumer.seek(tp, offset)
            offsets[tp] = offset
            members_first = each.metadata == MEMBERS_FIRST
            self.starts[tp.partition] = Start(offset, members_first, offset - each.offset)
        return offsets


class DeliverConsumer(Consumer):
    """The worker's consumer, with the destination's own account of what is done."""

    @property
    def _delivery_task(self) -> DeliveryTask:
        return cast(DeliverApp, self.app).delivery_task

    def _new_consumer_thread(self) -> ConsumerThread:
        first_start = cast(DeliverApp, self.app).first_start
        return DeliverThread(self, first_start, loop=self.loop, beacon=self.beacon)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Any:
        return list(self._batches)

    def _new_offset(self, tp: TP) -> int | None:
        super()._new_offset(tp)  # lets go of the batches that were taken
        return self._delivery_task.committable_offset(tp.partition)

    async def perform_seek(self) -> None:
        await self._delivery_task.let_go()
        await super().perform_seek()
        self._delivery_task.begin(cast(DeliverThread, self._thread).starts)

    async def wait_empty(self) -> None:
        """Before a rebalance and at the end: let go of what isn't delivered, commit what is."""
        await self._delivery_task.let_go()
        self._unacked_messages.clear()
        await self.commit_and_end_transactions()

    def lag(self, tp: TP) -> int | None:
        """Records between the committed offset and the end of the log; None: not known yet."""
        thread = cast(DeliverThread, self._thread)
        committed = self._committed_offset.get(tp)
        if committed is None and tp.partition in thread.starts:
            committed = thread.starts[tp.partition].offset  # the stock code takes 0 for nothing
        return self._lag(tp, committed)


class DeliverTransport(Transport):
    """What ``App._new_transport`` gives."""

    Consumer = DeliverConsumer


class DeliverApp(faust.App):
    """One destination's Faust app. ``deliver_app`` makes one."""

    def __init__(
        self,
        group: str,
        task: DeliveryTask,
        first_start: FirstStart,
        isolation_level: IsolationLevel,
        **options: Any,
    ) -> None:
        self.delivery_task = task
        self.first_start = first_start
        self.isolation_level = isolation_level
        super().__init__(group, **options)

    def _new_transport(self) -> Transport:
        return DeliverTransport(self.conf.broker_consumer, self)


def deliver_app(
    *,
    group: str,
    broker: Broker,
    instance_id: str | None,
    data_dir: str,
    topic: str,
    task: DeliveryTask,
    first_start: FirstStart,
    commit_seconds: float = 0.25,
) -> DeliverApp:
    """Build the app; its one agent hands all records to ``task``."""
    app = DeliverApp(
        group,
        task,
        first_start,
        broker.isolation_level,
        **faust_options(broker, instance_id, data_dir),
        broker_max_poll_records=POLL_RECORDS,
        broker_max_poll_interval=LONGEST_POLL_PAUSE_SECONDS,
        broker_commit_interval=commit_seconds,
    )
    transitions = app.topic(topic, maxsize=2, value_serializer="raw", key_serializer="raw")

    @app.agent(transitions, name="deliver", concurrency=1)
    async def deliver(stream: Any) -> None:
        async for event in stream.noack().events():
            consumer, poll = cast(DeliverConsumer, app.consumer), cast(Poll, event.message)
            try:
                for batch in consumer.batches_of(poll):
                    await task.take(batch.tp.partition, batch.records)
                    consumer.acknowledge(batch)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                await app.crash(error)
                raise

    return app
