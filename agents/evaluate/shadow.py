"""A shadow: a second pipeline of a partition, over a scratch store, that computes audiences to come.

It takes the history from its beginning while the live pipeline goes on (``agents.backfill``). Nothing of it
goes to Kafka. When it has taken exactly what the live one has, with its stream time, its rows are grafted
(``agents.evaluate.partition.grafting``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agents.evaluate.partition.state import Recovered
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Record, Step
from rules.compile.rule_set import RuleSet
from rules.decide.decide import fire
from rules.decide.graft import seed
from rules.state.row import Row
from tables.codec import decode_checkpoint, row_key, split_row_key
from tables.meta import decode_meta
from tables.profiles import Profiles


class Shadow(Pipeline):
    """The shadow of ``live``; ``profiles`` are over its scratch store, where an earlier life may have begun.

    ``begin_ms``: where its history begins (0: with the first record that ever was). A user whom the live one
    erased doesn't come back: of the source topics only later records count, and of ``history_topics`` none.
    """

    def __init__(
        self,
        live: Pipeline,
        profiles: Profiles,
        rules: RuleSet,
        begin_ms: int = 0,
        history_topics: Collection[str] = (),
    ) -> None:
        known = profiles.store.meta()
        checkpoint = decode_checkpoint(decode_meta(known).checkpoint) if known is not None else None
        super().__init__(live.place, profiles, live.limits, Recovered(checkpoint))
        self.judge = live.judge.same_refusals()
        self._live = live
        self._begin_ms = begin_ms
        self._history_topics = history_topics
        self._use(rules)

    def take(self, records: Sequence[Record]) -> None:
        """Records of one topic's partition, in log order."""
        self._keep(self.apply(records))

    def skip(self, topic: str, partition: int, last_offset: int, timestamp_ms: int) -> None:
        """Records up to ``last_offset`` concern no audience; ``timestamp_ms``: their latest timestamp."""
        self.stream_time_ms = max(self.stream_time_ms, timestamp_ms)
        self.positions.offsets[self.place.source(topic, partition)] = last_offset

    def reach(self, stream_time_ms: int) -> None:
        """Follow the live stream time, and fire all timers before it."""
        self._keep(self.punctuate(stream_time_ms, ALL_TIMERS))
        while self.overdue:
            self._keep(self.punctuate(stream_time_ms, ALL_TIMERS))

    def fire(self, to_ms: int, limit: int) -> None:
        """Move stream time and fire the timers that it passed, for at most ``limit`` users."""
        self._keep(self.punctuate(to_ms, limit))

    def first_row(self, key: bytes, now_ms: int) -> Row | None:
        live = self._live.profiles.peek(key)
        if live is None or live.is_stub:
            return None
        project, user_id = split_row_key(key)
        return seed(self.rules.project(project), user_id, live, self._begin_ms, now_ms)

    def known(self, project: str, user_id: str) -> Row | None:
        """A copy of a user's row as it is at stream time; of a user that it hasn't read of yet, what follows
        from the live row alone. None: that user came later."""
        key, now_ms = row_key(project, user_id), self.stream_time_ms
        row = self.read(key) or self.first_row(key, now_ms)
        if row is not None and row.timer_ms is not None and row.timer_ms <= now_ms:
            fire(self.rules.project(project), user_id, row, now_ms + 1, [])
        return row

    def read(self, key: bytes) -> Row | None:
        """A private copy of a row; None: nothing is known of the user."""
        row = self.profiles.read(key)
        return None if row is None or row.is_stub else row

    def keys(self, after: bytes, limit: int) -> list[bytes]:
        """Up to ``limit`` keys of stored rows above ``after``, in order; ``flush`` before."""
        return self.profiles.scan(after, limit)

    def close(self) -> None:
        self.profiles.store.close()

    @property
    def forgets(self) -> bool:
        return bool(self._live.erased)

    def is_forgotten(self, key: bytes, topic: str, source: int, offset: int) -> bool:
        erased = self._live.erased.of(key)
        return erased is not None and (
            topic in self._history_topics or offset <= erased.applied.get(source, -1)
        )

    def is_back(self, key: bytes, row: Row) -> bool:
        erased = self._live.erased.of(key)
        return erased is not None and row.first_ms is not None and row.first_ms > erased.at_ms

    def _keep(self, step: Step) -> None:
        self.durable([step])
        if (burial := self.bury()) is not None:
            self.durable([burial])


ALL_TIMERS = 500
"""Users at a time."""
