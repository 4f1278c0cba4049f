"""One destination at work: from its partitions of the transitions topic into its engine, members first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.deliver.consumer.faust_app import Start
from agents.deliver.consumer.progress import Backlog, Progress
from agents.deliver.content.grouping import Grouping, is_merged
from agents.deliver.content.messages import Message, Unreadable, original_of, read_transition
from agents.deliver.content.selector import Selector
from agents.deliver.definitions.destination import Destination
from agents.deliver.engine.dead_letters import DeadLetters
from agents.deliver.engine.engine import Engine
from agents.deliver.input_topics import InputTopics
from agents.deliver.members.first import MemberReader, PartitionMembers
from agents.evaluate.transitions import TransitionBody
from agents.kafka.lost_records import lost_text
from agents.registry.erasures import Erasures
from agents.warnings import Warnings

log = structlog.get_logger("turnstile.deliver")

HOLD_SECONDS = 0.02
"""How long the last group of a poll waits for more of the same user and instant."""
CHUNK = 500


class Deliverer:
    """The task of one ``DeliverApp``. ``commit`` commits offsets without metadata.

    ``backlog`` is that of ``engine``: partitions come and go in it here.
    """

    def __init__(
        self,
        destination: Destination,
        engine: Engine,
        dead_letters: DeadLetters,
        topics: InputTopics,
        new_consumer: Callable[[], AIOKafkaConsumer],
        commit: Callable[[Mapping[int, int]], Awaitable[None]],
        failed: Callable[[BaseException], None],
        backlog: Backlog,
        members: MemberReader,
        warnings: Warnings | None = None,
        erasures: Erasures | None = None,
    ) -> None:
        """``erasures``: transitions from before their users were erased aren't sent any more."""
        self._destination = destination
        self._engine = engine
        self._dead_letters = dead_letters
        self._topics = topics
        self._new_consumer = new_consumer
        self._commit = commit
        self._failed = failed
        self._warnings = warnings or Warnings()
        self._erasures = erasures
        self._selector = Selector(destination)
        self._is_merged = is_merged(destination)
        self._progress = backlog
        self._members = members
        self._groups: dict[int, Grouping] = {}
        self._sent: dict[int, PartitionMembers] = {}
        """By partition: members that were sent, as long as older transitions may follow."""
        self.joined = False
        """Whether the group has let this process in, with partitions or without."""
        self._epoch = 0
        self._assigned = False
        self._ready = asyncio.Event()
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def partitions(self) -> list[int]:
        return sorted(self._progress)

    # -- what Faust calls ----------------------------------------------------------------------------

    def committable_offset(self, partition: int) -> int | None:
        progress = self._progress.get(partition)
        return None if progress is None else progress.committable_offset()

    async def let_go(self) -> None:
        self._epoch += 1
        self._assigned = False
        self._ready.set()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._engine.let_go()
        for groups in self._groups.values():
            groups.release()
        self._forget_members()

    def begin(self, starts: Mapping[int, Start]) -> None:
        self._assigned = self.joined = True
        self._progress.clear()
        self._progress |= {partition: Progress(start.offset) for partition, start in starts.items()}
        self._groups = {partition: Grouping() for partition in starts}
        self._forget_members()
        for partition, start in starts.items():
            if start.expired:
                self._expired(partition, start.offset - start.expired, start.offset)
            if start.members_first:
                self._progress[partition].hold()
        first = sorted(partition for partition, start in starts.items() if start.members_first)
        if first:
            self._ready.clear()
            self._spawn(self._backfill(first, self._epoch))
        else:
            self._ready.set()

    async def take(self, partition: int, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        epoch = self._epoch
        await self._ready.wait()
        async with self._lock:
            if self._epoch != epoch or not self._assigned:
                return
            messages = await self._messages(partition, records)
            if self._epoch == epoch:
                await self._engine.put(messages)

    # -- reading -------------------------------------------------------------------------------------

    async def _messages(
        self, partition: int, records: Sequence[ConsumerRecord[bytes, bytes]]
    ) -> list[Message]:
        progress, wants = self._progress[partition], self._selector.wants
        groups = self._groups[partition] if self._is_merged else None
        sent = self._sent.get(partition)
        messages: list[Message] = []
        if records and records[0].offset > progress.reached:
            await self._look_into_gap(partition, progress.reached, records[0].offset)
        for record in records:
            original = original_of(record)
            try:
                transition = read_transition(record.value)
            except Unreadable as error:
                await self._dead_letters.bury_records((original,), "unreadable", str(error), 0)
                self._engine.report.dead_letters += 1
                progress.reach(record.offset + 1)
                continue
            known = 0 if sent is None else sent.seq_sent(transition.user_id, transition.audience)
            if transition.seq <= known or not wants(transition) or self._is_over(transition):
                self._engine.report.filtered += 1
            else:
                message = Message(transition.user_id, (transition,), (original,), partition, record.offset)
                if groups is None or groups.add(message) is not None:
                    progress.add(message)
                    messages.append(message)
            progress.reach(record.offset + 1)
        # Partitions may have moved in an await above.
        if sent is not None and progress.is_past_hold and self._sent.get(partition) is sent:
            self._sent.pop(partition).close()
        if groups is None:
            return messages
        messages = groups.end_poll(messages)
        held = groups.held
        if held is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(HOLD_SECONDS, self._release, partition, held, len(held.transitions), self._epoch)
        return messages

    def _is_over(self, each: TransitionBody) -> bool:
        erasures = self._erasures
        return erasures is not None and erasures.is_over(each.project, each.user_id, each.at, each.cause)

    async def _look_into_gap(self, partition: int, reached: int, found: int) -> None:
        """A consumer that waits for a dead destination may be overtaken by retention, and skips silently."""
        async with self._new_consumer() as consumer:
            tp = TopicPartition(self._topics.transitions, partition)
            kept = int((await consumer.beginning_offsets([tp]))[tp])
        if kept > reached:
            self._expired(partition, reached, min(kept, found))

    def _expired(self, partition: int, first: int, there: int) -> None:
        report = self._engine.report
        report.expired += there - first
        place = f"{self._topics.transitions}/{partition}"
        text = lost_text(place, first, there, "sent", f"destination {self._destination.name!r}'s")
        report.error(text)
        self._warnings.note("records_lost", f"{place} to {self._destination.name}", text, there - first)

    def _release(self, partition: int, held: Message, size: int, epoch: int) -> None:
        if self._epoch == epoch:
            self._spawn(self._put_held(partition, held, size, epoch))

    async def _put_held(self, partition: int, held: Message, size: int, epoch: int) -> None:
        async with self._lock:
            groups = self._groups.get(partition)
            if self._epoch != epoch or groups is None or groups.held is not held:
                return
            if len(held.transitions) == size:
                groups.release()
                await self._engine.put([held])

    def _forget_members(self) -> None:
        for partition in list(self._sent):
            self._sent.pop(partition).close()

    # -- members first -------------------------------------------------------------------------------

    async def _backfill(self, partitions: list[int], epoch: int) -> None:
        """Send who is in now, a partition at a time, then let the rest flow.

        Nothing of a partition is committed before all that came while its rows were read is delivered, too:
        a restart until then does it again, and nobody who left meanwhile is forgotten.
        """
        name = self._destination.name
        entering = await self._members.entering()
        for partition in partitions:
            members = await self._members.of(partition, entering)
            try:
                end = await self._end_of(partition)
                sent = await self._send_members(members)
                if sent is None:
                    return
                self._engine.report.backfilled += sent
                log.info("members_sent", destination=name, partition=partition, members=sent)
                progress = self._progress[partition]
                progress.hold(end)
                if progress.reached >= end:
                    await self._commit({partition: progress.reached})
                else:
                    self._sent[partition] = members
            finally:
                if self._sent.get(partition) is not members:
                    members.close()
        if self._epoch == epoch:
            self._ready.set()

    async def _send_members(self, members: PartitionMembers) -> int | None:
        """How many were delivered; None: all was let go meanwhile."""
        sent = 0
        chunk: list[Message] = []
        for message in members.messages():
            sent += len(message.transitions)
            chunk.append(message)
            if len(chunk) >= CHUNK:
                if not await self._engine.put(chunk):
                    return None
                chunk = []
        return sent if await self._engine.put(chunk) and await self._engine.drained() else None

    async def _end_of(self, partition: int) -> int:
        async with self._new_consumer() as consumer:
            tp = TopicPartition(self._topics.transitions, partition)
            return int((await consumer.end_offsets([tp]))[tp])

    def _spawn(self, coroutine: Awaitable[None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
