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


def time_of(row: Row, ref: str) -> int:
    """The event time (ms) that one reference names."""
    return row.base_ms + row.times[ord(ref)]


def instants(row: Row, refs: str) -> list[int]:
    """The event times (ms) that references name."""
    times, base_ms = row.times, row.base_ms
    return [base_ms + times[ord(ref)] for ref in refs]


def place(row: Row, refs: str, event_ms: int) -> int:
    """How many of the references, ascending by time, are of times up to ``event_ms``."""
    times, at = row.times, event_ms - row.base_ms
    if not refs or times[ord(refs[0])] > at:
        return 0
    if times[ord(refs[-1])] <= at:
        return len(refs)
    return bisect_right(refs, at, key=lambda ref: times[ord(ref)])


def by_time(row: Row, refs: str, values: Sequence[Value]) -> tuple[list[int], list[list[Value]]]:
    """The different times of references that ascend, and the values of each time's events."""
    found: dict[int, list[Value]] = {}
    for event_ms, value in zip(instants(row, refs), values, strict=True):
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
