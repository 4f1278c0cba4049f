"""A followed partition as a pipeline that is only read: lookups see it as they see the owner's.

Rows lie in the store alone, so nothing has to be brought up to date when records come but what the checkpoint
says. Timers that are due are decided on a copy of the row, as the owner does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from agents.evaluate.native.engine import Engine
from agents.evaluate.partition.grafting import Grafting, grafts_of
from agents.evaluate.partition.positions import Positions
from agents.evaluate.partition.sweep import Sweep
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.question import Question
from agents.evaluate.steps import Draft, Limits
from agents.kafka.placement import Place
from rules.compile.rule_set import RuleSet
from rules.state.row import Row
from tables.codec import Checkpoint, row_key
from tables.cut import Cut
from tables.member_index import MemberIndex
from tables.profiles import Profiles
from tables.row_store import RowStore
from tables.timer_index import TimerIndex

if TYPE_CHECKING:
    from turnstile_core import Rules


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
    """One partition. ``stand_at`` first, and whenever its store stands for more.

    By the ``engine``'s core, where there is one, many users are told of without a row of Python's.
    """

    def __init__(self, place: Place, store: RowStore, limits: Limits, engine: Engine) -> None:
        super().__init__(place, Profiles(store, cache_rows=1), limits)
        self._engine = engine
        self._native: Rules | None = None
        """The rules as the core has them; None: there is no core, or it doesn't know all of them."""

    def stand_at(self, checkpoint: Checkpoint, cut: Cut, rules: RuleSet) -> None:
        """The store stands for this checkpoint; ``rules`` are those of the cut's versions."""
        store = self.profiles.store
        self.step = checkpoint.step
        self.stream_time_ms = checkpoint.stream_time_ms
        self.positions = Positions(checkpoint)
        self.ground = checkpoint.ground
        self.last_cut = cut
        if self.rules is not rules:
            self.rules, self._native = rules, self._engine.native_rules(rules)
        self._sweep = Sweep(checkpoint)
        self.profiles.define(rules)
        self.profiles.timers, self.profiles.members = TimerIndex(store), MemberIndex(store)
        self.grafting = GraftElsewhere(self.place.partition, cut) if cut.shadow and self.sweeping else None

    def tell_now(self, question: Question, user_ids: Sequence[str]) -> list[bytes] | None:
        core, rules = self._engine.core, self._native
        if rules is None or core is None or core.Asked is None or core.look_at_stored is None:
            return None
        if self.sweeping:
            return None  # of a partition that is grafted, too
        profiles = self.profiles
        keys = [row_key(question.project, each) for each in user_ids]
        stored = profiles.as_written_today(keys, profiles.store.get_many(keys))
        try:
            return core.look_at_stored(rules, core.Asked(*question), user_ids, stored)
        except core.RowUnreadable as error:
            key, why = error.args
            raise profiles.store.broken(f"the row of {key!r} can't be read: {why}") from error

    def close(self) -> None:
        """The store is its follower's."""
