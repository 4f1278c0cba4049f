"""The sweep: after definitions changed every row is looked at again, some at a time."""

from __future__ import annotations

from agents.evaluate.partition.state import Partition
from agents.evaluate.steps import Draft
from rules.compile.rule_set import EMPTY, RuleSet
from rules.decide.redefine import redefine
from rules.state.row import Row
from tables.codec import Checkpoint, split_row_key


class Sweep:
    """How far the sweep of one partition is."""

    def __init__(self, recovered: Checkpoint | None) -> None:
        self.swept = recovered.swept if recovered else EMPTY.fingerprint
        """Fingerprint of the rules under which every row was last looked at."""
        self.swept_ms = recovered.swept_ms if recovered else 0
        """When the latest of these rules was published."""
        self._after = b""
        self._after_in_history = b""
        self._first: list[bytes] = []
        """Keys of rows that the store didn't have when the sweep began: they are looked at first."""

    def start(self, partition: Partition) -> None:
        """Definitions changed: begin with the first row."""
        self._after = self._after_in_history = b""
        self._first = partition.profiles.unstored_keys()

    def is_over(self, rules: RuleSet) -> bool:
        return self.swept == rules.fingerprint

    def take(self, partition: Partition, draft: Draft, limit: int) -> None:
        """Look at the next ``limit`` rows, or at fewer if the draft is full. Without any it is over."""
        if first := self._first[:limit]:
            del self._first[: self._look_at(partition, draft, first)]
        elif keys := partition.profiles.scan(self._after, limit):
            self._after = keys[self._look_at(partition, draft, keys) - 1]
        elif keys := self._only_in_history(partition, limit):
            self._after_in_history = keys[self._look_at(partition, draft, keys) - 1]
        else:
            self.swept = partition.rules.fingerprint
            self.swept_ms = max(self.swept_ms, partition.rules.published_ms)
            partition.end_graft()
            draft.must_note = True  # the shadow's files go when this is known

    def _only_in_history(self, partition: Partition, limit: int) -> list[bytes]:
        """The next users of the shadow: those who have rows are grafted by now, and the others get them."""
        grafting = partition.grafting
        return [] if grafting is None else grafting.shadow.keys(self._after_in_history, limit)

    def _look_at(self, partition: Partition, draft: Draft, keys: list[bytes]) -> int:
        """Look at rows until the draft is full; at how many."""
        rows = partition.profiles.load(keys)
        for number, key in enumerate(keys):
            if number and draft.is_full(partition.limits):
                return number
            if partition.grafting is not None:
                partition.grafting.bring(partition.profiles, draft, (key,), rows)
            elif key in rows and not rows[key].is_stub:
                self.look(partition, draft, key, rows[key])
        return len(keys)

    def look(self, partition: Partition, draft: Draft, key: bytes, row: Row) -> None:
        """What the definitions do to one row."""
        project, user_id = split_row_key(key)
        rules, due_before = partition.rules.project(project), row.timer_ms
        cut_ms = None if partition.last_cut is None else partition.last_cut.stream_time_ms
        # After a cut, timers of the clock's very instant are time's: a record may still come there.
        reached_ms = partition.stream_time_ms - (cut_ms is not None)
        now_ms = max(reached_ms, row.now_ms)
        has_changed = redefine(
            rules, user_id, row, now_ms, "definition", draft.transitions, self.swept_ms, cut_ms
        )
        draft.claim(key)
        if has_changed:
            draft.change(key, due_before)
            draft.turned.add(key)
        elif row.timer_ms != due_before:
            draft.move_timer(key, due_before)
