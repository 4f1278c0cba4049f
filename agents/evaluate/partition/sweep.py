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
        self._first: list[bytes] = []
        """Keys of rows that the store didn't have when the sweep began: they are looked at first."""

    def start(self, partition: Partition) -> None:
        """Definitions changed: begin with the first row."""
        self._after = b""
        self._first = partition.profiles.unstored_keys()

    def is_over(self, rules: RuleSet) -> bool:
        return self.swept == rules.fingerprint

    def take(self, partition: Partition, draft: Draft, limit: int) -> None:
        """Look at the next ``limit`` rows, or at fewer if the draft is full. Without any it is over."""
        first = self._first[:limit]
        keys = first or partition.profiles.scan(self._after, limit)
        rows = partition.profiles.load(keys)
        looked_at = 0
        for key in keys:
            if draft.is_full(partition.limits):
                break
            looked_at += 1
            row = rows.get(key)
            if row is not None:
                self._look(partition, draft, key, row)
        if first:
            del self._first[:looked_at]
        elif keys:
            self._after = keys[looked_at - 1]
        else:
            self.swept = partition.rules.fingerprint
            self.swept_ms = max(self.swept_ms, partition.rules.published_ms)

    def _look(self, partition: Partition, draft: Draft, key: bytes, row: Row) -> None:
        project, user_id = split_row_key(key)
        rules, due_before = partition.rules.project(project), row.timer_ms
        now_ms = max(partition.stream_time_ms, row.now_ms)
        has_changed = redefine(rules, user_id, row, now_ms, "definition", draft.transitions, self.swept_ms)
        draft.claim(key)
        if has_changed:
            draft.change(key, due_before)
        elif row.timer_ms != due_before:
            draft.move_timer(key, due_before)
