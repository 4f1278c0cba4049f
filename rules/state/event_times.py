"""The times of events in a row: kept once each, however many conditions count the event.

``Row.times`` has them as ms after ``Row.base_ms``. States name its slots by *references*: a string, of which
each character's code is a slot. It is short in memory and in the store, and copied as a whole. A slot that no
state names is freed by ``collect``; a free slot has the number of the next one, ``Row.free`` the first one's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from rules.state.row import NO_SLOT, Row, State

SPARE: Final = 12
"""How many more slots a row may have than were in use when that was looked at last."""
NEAR_MS: Final = 1 << 31
"""Times further from the base would take more bytes than others."""
_SURROGATES: Final = range(0xD800, 0xE000)
"""Codes that no text can be stored with; their slots are never used."""

Value = TypeVar("Value")


def reference(row: Row, event_ms: int) -> str:
    """The character for an event's time; the latest one that was added is known again."""
    times, at = row.times, event_ms - row.base_ms
    if times[row.latest] == at:
        return chr(row.latest)
    if row.free == NO_SLOT and len(times) >= row.used + SPARE:
        collect(row)
        at = event_ms - row.base_ms
    slot = row.free
    if slot == NO_SLOT:
        slot = _added(row, at)
    else:
        row.free = times[slot]
        times[slot] = at
    row.latest = slot
    return chr(slot)


def references(row: Row, events_ms: Iterable[int]) -> str:
    """References to events of which no state tells yet: what they name is new, and nothing is freed."""
    return "".join([chr(_added(row, each - row.base_ms)) for each in events_ms])


def _added(row: Row, at: int) -> int:
    """A new slot."""
    if len(row.times) == _SURROGATES.start:
        row.times += [0] * len(_SURROGATES)
    row.times.append(at)
    return len(row.times) - 1


def instants(row: Row, refs: str) -> list[int]:
    """The event times (ms) that references name."""
    base_ms, times = row.base_ms, row.times
    return [base_ms + times[ord(ref)] for ref in refs]


class EventTimes:
    """The times of a state's events, ascending. ``refs`` is what the state keeps of them."""

    def __init__(self, row: Row, refs: str = "") -> None:
        self.row = row
        self.refs = refs
        self.ms = instants(row, refs)

    def up_to(self, at_ms: int) -> int:
        """How many are not after an instant."""
        return bisect_right(self.ms, at_ms)

    def need(self, event_ms: int, number: int) -> bool:
        """Whether an event of this time would be one of the latest so many."""
        return len(self.ms) < number or event_ms > self.ms[0]

    def insert(self, at: int, event_ms: int) -> None:
        self.refs = self.refs[:at] + reference(self.row, event_ms) + self.refs[at:]
        self.ms.insert(at, event_ms)

    def remove(self, at: int) -> None:
        self.refs = self.refs[:at] + self.refs[at + 1 :]
        del self.ms[at]

    def drop_first(self, number: int) -> None:
        number = max(0, number)
        self.refs = self.refs[number:]
        del self.ms[:number]

    def grouped(self, values: Sequence[Value]) -> tuple[list[int], list[list[Value]]]:
        """The different times, and the values of each time's events."""
        found: dict[int, list[Value]] = {}
        for event_ms, value in zip(self.ms, values, strict=True):
            found.setdefault(event_ms, []).append(value)
        return list(found), list(found.values())


def collect(row: Row) -> None:
    """Free the slots that no state names. If the latest time is far from the base, it becomes the base."""
    times = row.times
    used = {chr(row.latest)}
    for state in row.conditions.values():
        used.update(_refs_in(state))
    row.used = len(used)
    del times[ord(max(used)) + 1 :]
    by_ms = times[row.latest] if abs(times[row.latest]) > NEAR_MS else 0
    row.free = NO_SLOT
    for slot in range(len(times) - 1, -1, -1):
        if chr(slot) in used:
            times[slot] -= by_ms
        elif slot not in _SURROGATES:
            times[slot] = row.free
            row.free = slot
    if by_ms:
        row.base_ms += by_ms
        if row.first is not None:
            row.first -= by_ms
        for membership in row.audiences.values():
            membership.since_ms -= by_ms


def _refs_in(state: State) -> str:
    """The references of a state: it may be they, or begin with them and have lists after.

    A list of texts that come after one another is a state of another kind: it names no times.
    """
    if isinstance(state, str):
        return state
    match state:
        case [str() as refs, list(), *_]:
            return refs
        case _:
            return ""
