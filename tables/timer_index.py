"""The timer index of one partition: whose timer fires next, stored and not yet stored.

A row has one entry, at the row's earliest timer. Entries go to the store with their rows. What steps changed
since the last write is kept here, and a search puts both together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush

from rules.time.instants import FAR_MS
from tables.row_store import RowStore, Timer

_UNCHANGED = (0, True)


class TimerIndex:
    """Entries of the store, with the changes of stages that are not stored. Stages are numbered from 1."""

    def __init__(self, store: RowStore) -> None:
        self._store = store
        self._unstored: dict[Timer, tuple[int, bool]] = {}
        """Per entry, the last unstored stage that changed it, and whether the entry is there then."""
        self._added: list[Timer] = []
        """A heap of the entries that unstored stages added; some of them may be dropped since."""
        self._hidden = 0
        """How many entries of ``_unstored`` are not there."""
        self._floor_ms = -FAR_MS
        """All entries before this instant are handled."""
        self._quiet_until_ms = -FAR_MS
        """No entry lies before this instant."""

    # -- changes -------------------------------------------------------------------------------------

    def stage(self, number: int, added: Sequence[Timer], dropped: Iterable[Timer]) -> None:
        """A step dropped entries, then added some; the store doesn't know yet."""
        unstored = self._unstored
        for entry in dropped:
            if unstored.get(entry, _UNCHANGED)[1]:
                self._hidden += 1
            unstored[entry] = number, False
        for entry in added:
            if not unstored.get(entry, _UNCHANGED)[1]:
                self._hidden -= 1
            unstored[entry] = number, True
            heappush(self._added, entry)
        if added:
            earliest_ms = min(added)[0]
            self._quiet_until_ms = min(self._quiet_until_ms, earliest_ms)
            # A row that is grafted late may have a timer that stream time has passed.
            self._floor_ms = min(self._floor_ms, earliest_ms)

    def stored(self, number: int, changed: Iterable[Timer]) -> None:
        """The store has the stage of this number; ``changed`` are the entries that it added or dropped."""
        for entry in changed:
            last, there = self._unstored.get(entry, _UNCHANGED)
            if last == number:
                del self._unstored[entry]
                self._hidden -= not there

    def tidy(self) -> None:
        """After ``stored``: entries far ahead would stay for as long, one for each user that ever passed."""
        self._added = [entry for entry, (_, there) in self._unstored.items() if there]
        heapify(self._added)

    # -- searches ------------------------------------------------------------------------------------

    def due(self, before_ms: int, limit: int) -> list[Timer]:
        """Up to ``limit`` entries before ``before_ms``, stored or staged, in order of time."""
        unstored = self._unstored
        added, next_added_ms = self._added_before(before_ms)
        found = self._store.timers(self._floor_ms, before_ms, limit + self._hidden)
        if unstored:
            found = [entry for entry in found if entry not in unstored]
        if added:
            found = sorted({*added, *found})
        if not found:
            later = self._store.timers(max(before_ms, self._floor_ms), FAR_MS, 1)
            self._quiet_until_ms = min([next_added_ms, *(at_ms for at_ms, _ in later)])
        return found[:limit]

    def may_be_due(self, before_ms: int) -> bool:
        """Whether ``due`` may find something: False is certain."""
        return before_ms > self._quiet_until_ms

    def fired_until(self, before_ms: int) -> None:
        """All entries before this instant are handled: start the next search there, past the deleted ones."""
        self._floor_ms = max(self._floor_ms, before_ms)

    def _added_before(self, before_ms: int) -> tuple[list[Timer], int]:
        """The staged entries before an instant that are still there, and the instant of the next one."""
        unstored, heap = self._unstored, self._added
        added: list[Timer] = []
        while heap and heap[0][0] < before_ms:
            entry = heappop(heap)
            number, there = unstored.get(entry, _UNCHANGED)
            if number and there:
                added.append(entry)
        next_ms = heap[0][0] if heap else FAR_MS
        for entry in added:
            heappush(heap, entry)  # until it is handled, that is dropped
        return added, next_ms

    @property
    def in_memory(self) -> int:
        """How many entries are kept here."""
        return len(self._added)
