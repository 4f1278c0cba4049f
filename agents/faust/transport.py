"""Faust's aiokafka transport, moving one message per poll instead of one per record.

Stock Faust spends some 60 µs a record in queues, tasks and sensors. Here an agent gets a ``Poll``, which
holds a ``Batch`` per partition: its records, whose ack commits the last one's offset. Stock bookkeeping of
acks counts single offsets and their gaps, so what touches it is replaced:

- ``_new_offset`` commits the acked prefix of a queue of batches per partition;
- a batch is not committable before those ahead of it (stock code can commit past an unacked one);
- on a revoke, what is in hand is finished and committed before the queues go (stock code forgets acked
  offsets first, so that every rebalance processes them again);
- what a poll brings while the flow is stopped is not lost: the position goes back, also where nothing was
  ever committed (stock code leaves such a partition where it is);
- partitions may move at every ``await``: what was read of the assignment before one is not used after it
  (stock code raises IllegalStateError, or lets the flow go on in the middle of the next rebalance).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, cast

from faust.transport.drivers import aiokafka as stock
from faust.types import TP

from agents.faust.batch import Batch, Poll
from agents.faust.consumer_thread import ConsumerThread, LogSeen
from agents.faust.hooks import Hooked
from agents.kafka.consumed import Consumed
from agents.kafka.membership import MembershipLost


class Consumer(stock.Consumer):
    """Stock consumer with batches in the place of messages."""

    _batches: dict[TP, deque[Batch]]
    _next: dict[TP, int | None]
    _passed_over: bool
    """A poll brought records that were not handed on: the positions must go back."""
    _polls: int
    _seen: dict[TP, tuple[int, int | None, int]]
    _rebalance: int
    """The number of the rebalance that gave the partitions which are assigned now."""

    def _reset_state(self) -> None:
        super()._reset_state()
        self._rebalance = 0
        self._batches = {}
        self._next = {}
        self._passed_over = False
        self._polls = 0
        self._seen = {}

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Poll]]:
        """Yield what one poll brings, if anything."""
        if self._passed_over:
            await self._wait_for_flow()
            if self.should_stop:
                return
            self._passed_over = False
            await self.perform_seek()
        polled, active = await self._wait_next_records(timeout)
        self._polls += 1
        if not polled or self.should_stop:
            return
        if not self.flow_active:
            self._passed_over = True
            return
        taken: dict[TP, Sequence[Consumed]] = {}
        for tp, records in polled.items():
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                self._passed_over = True
            else:
                taken[tp] = records
        if taken:
            poll = self._to_poll(taken)
            for batch in poll.batches:
                self._batches.setdefault(batch.tp, deque()).append(batch)
                self._next[batch.tp] = batch.next_offset
            yield poll.tp, poll

    async def _wait_for_flow(self) -> None:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]

    def batches_of(self, poll: Poll) -> Iterator[Batch]:
        """Those that are still to be worked off when their turn comes: ones from before a seek come again in
        others, and partitions may have moved while the one before was worked off."""
        for batch in list(poll.batches):
            if batch in self._batches.get(batch.tp, ()):
                yield batch
            else:
                self._done(batch)

    def _to_poll(self, taken: dict[TP, Sequence[Consumed]]) -> Poll:
        tp, records = next(iter(taken.items()))
        poll = Poll(
            tp.topic,
            tp.partition,
            records[-1].offset,
            records[-1].timestamp / 1000.0,
            0,
            None,
            None,
            None,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )
        poll.batches = [Batch(poll, tp, records) for tp, records in taken.items()]
        return poll

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust would only log. A stalled worker is for its watchdog to end, and a slow destination
        is no stalled consumer."""

    # -- acks ----------------------------------------------------------------------------------------

    def acknowledge(self, batch: Batch) -> None:
        """The batch's records are in state and its outputs in Kafka."""
        if not batch.acked:
            self._n_acked += 1
            self._done(batch)

    def _done(self, batch: Batch) -> None:
        batch.acked = True
        if all(each.acked for each in batch.poll.batches):
            self._unacked_messages.discard(batch.poll)
            batch.poll.batches = []  # or they would hold each other until the collector comes
        if self._waiting_for_ack is not None and not self._waiting_for_ack.done():
            self._waiting_for_ack.set_result(None)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._batches) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        batches = self._batches.get(tp)
        offset: int | None = None
        while batches and batches[0].acked:
            offset = batches.popleft().next_offset
        return offset

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets between batches are no gaps: a batch ends where the next begins."""

    async def perform_seek(self) -> None:
        """Go back to the committed offsets; batches in hand are forgotten and come again."""
        self._batches.clear()
        self._next.clear()
        self._seen.clear()
        self._read_offset.clear()
        self._committed_offset.clear()  # a commit that a rebalance overtook may have noted one since
        await super().perform_seek()
        self._next.update(self._read_offset)

    def resume_flow(self) -> None:
        """Let records come again, unless another rebalance began meanwhile: that one will."""
        if self.app.rebalancing_count == self._rebalance:
            super().resume_flow()

    async def wait_empty(self) -> None:
        """Before a rebalance and at the end: finish what is in hand, send its transitions, commit."""
        await super().wait_empty()
        await cast(Hooked, self.app).hooks.hand_over()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        cast(ConsumerThread, self._thread).membership_seen = time.monotonic()
        self._rebalance = self.app.rebalancing_count
        # Stock code pauses them some awaits later, and until then may hand out records of rows not restored.
        self._paused_partitions.update(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def watch_group(self) -> None:
        """Raises GroupRefused once the group lets this process take part no more."""
        await cast(ConsumerThread, self._thread).watch_group()

    def is_member(self) -> bool:
        """Whether the group surely still counts on this worker. Raises MembershipLost.

        False: unknown, because no heartbeat was answered for the length of a session; the broker is down, or
        this process stood still.
        """
        seen = cast(ConsumerThread, self._thread).membership_seen
        if seen is None:
            raise MembershipLost("the group's coordinator does not know this worker any more")
        return time.monotonic() - seen < self.app.conf.broker_session_timeout

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish and commit what is in hand, then let the stock code forget the partitions."""
        if revoked:
            try:
                self.is_member()
            except MembershipLost as error:
                await self.app.crash(error)
                return
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        await self.wait_empty()
        for tp in revoked:
            self._batches.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    # -- the end of the log --------------------------------------------------------------------------

    def seen_to_end_ms(self, tp: TP) -> int | None:
        """When the broker last said that nothing lies beyond what was evaluated (wall clock, ms).

        None while there is a backlog, while records are in hand, or before the first fetch.
        """
        seen = cast(ConsumerThread, self._thread).log_seen(tp)
        if seen is None or seen.stable < seen.end or not self._is_evaluated(tp, seen):
            return None
        return seen.at_ms

    def _is_evaluated(self, tp: TP, seen: LogSeen) -> bool:
        """Whether all that can be read now was handed on and acknowledged."""
        if not seen.is_read or any(not batch.acked for batch in self._batches.get(tp, ())):
            return False
        expected = self._next.get(tp)
        if expected != seen.position:
            # Either records are on their way from the fetcher to here, or the log ends with control records
            # or aborted ones, which never come. Two polls later the former are here.
            mark = self._seen.get(tp)
            if mark is None or mark[:2] != (seen.position, expected):
                self._seen[tp] = (seen.position, expected, self._polls)
                return False
            if self._polls < mark[2] + 2:
                return False
        return True

    def held_back(self, tp: TP) -> int:
        """Records that are of an open transaction or after one: they hold the partition's time back."""
        seen = cast(ConsumerThread, self._thread).log_seen(tp)
        return 0 if seen is None else seen.end - seen.stable

    def next_offset(self, tp: TP) -> int | None:
        """Offset after the last record handed to the agent; None: nothing read or committed yet."""
        return self._next.get(tp)

    def lag(self, tp: TP) -> int | None:
        """Records between the committed offset and the end of what can be read; None: not known yet."""
        committed = self._committed_offset.get(tp)
        if committed is None and (batches := self._batches.get(tp)):
            committed = batches[0].records[0].offset  # the first ever are in hand
        return self._lag(tp, committed)

    def _lag(self, tp: TP, committed: int | None) -> int | None:
        seen = cast(ConsumerThread, self._thread).log_seen(tp)
        if seen is None:
            return None
        handed_on = self._next.get(tp)
        if (handed_on is None or handed_on <= (committed or 0)) and self._is_evaluated(tp, seen):
            return 0  # what lies between are control records and aborted ones
        if committed is None:
            committed = seen.position  # nothing was ever taken of it
        return max(0, seen.stable - int(committed))


class Transport(stock.Transport):
    """What ``App._new_transport`` gives."""

    Consumer = Consumer
