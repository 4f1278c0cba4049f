"""A followed partition as a pipeline that is only read: lookups see it as they see the owner's.

Rows lie in the store alone, so nothing has to be brought up to date when records come but what the checkpoint
says. Timers that are due are decided on a copy of the row, as the owner does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agents.evaluate.partition.grafting import Grafting, grafts_of
from agents.evaluate.partition.positions import Positions
from agents.evaluate.partition.sweep import Sweep
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Draft, Limits
from agents.kafka.placement import Place
from rules.compile.rule_set import RuleSet
from rules.state.row import Row
from tables.codec import Checkpoint
from tables.cut import Cut
from tables.member_index import MemberIndex
from tables.profiles import Profiles
from tables.row_store import RowStore
from tables.timer_index import TimerIndex


class RowElsewhere(Exception):
    """Only the owner of the partition can tell: it has the shadow that a row lacks."""

    def __init__(self, partition: int, text: str) -> None:
        super().__init__(text)
        self.partition = partition


class GraftElsewhere(Grafting):
    """The graft of a cut that another process makes: rows that it has brought over can be read."""

    def __init__(self, partition: int, cut: Cut) -> None:
        self._partition = partition
        self.epoch = cut.epoch
        self.cut_ms = cut.stream_time_ms
        self._plans = grafts_of(cut)

    def bring(
        self, profiles: Profiles, draft: Draft, keys: Iterable[bytes], rows: Mapping[bytes, Row]
    ) -> None:
        raise AssertionError("a view makes no steps")

    def look(self, key: bytes, row: Row | None) -> Row:
        """Raises RowElsewhere, also for a user without a row: the history may know of one."""
        if row is None or row.epoch < self.epoch:
            raise RowElsewhere(self._partition, f"a row is of an older rules epoch than {self.epoch}")
        return row


class View(Pipeline):
    """One partition. ``stand_at`` first, and whenever its store stands for more."""

    def __init__(self, place: Place, store: RowStore, limits: Limits) -> None:
        super().__init__(place, Profiles(store, cache_rows=1), limits)

    def stand_at(self, checkpoint: Checkpoint, cut: Cut, rules: RuleSet) -> None:
        """The store stands for this checkpoint; ``rules`` are those of the cut's versions."""
        store = self.profiles.store
        self.step = checkpoint.step
        self.stream_time_ms = checkpoint.stream_time_ms
        self.positions = Positions(checkpoint)
        self.ground = checkpoint.ground
        self.last_cut = cut
        self.rules = rules
        self._sweep = Sweep(checkpoint)
        self.profiles.define(rules)
        self.profiles.timers, self.profiles.members = TimerIndex(store), MemberIndex(store)
        self.grafting = GraftElsewhere(self.place.partition, cut) if cut.shadow and self.sweeping else None

    def close(self) -> None:
        """The store is its follower's."""
