"""The times of events in a row: kept once each, however many conditions count the event.

``Row.times`` has them as ms after ``Row.base_ms``. States name them by *references*: a string, of which each
character's code is a position in ``times``. It is short in memory and in the store, is copied as a whole, and
one ``str.translate`` moves it on when ``tidy`` lets go of times that nothing names any more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Final

from rules.row import Row

SPARE: Final = 8
"""Times added since the last ``tidy`` before the next one."""
_SURROGATES: Final = range(0xD800, 0xE000)
"""Codes that no text can be stored with; the places that they would name stay unused."""


def reference(row: Row, event_ms: int) -> str:
    """The character for an event's time, which is added if it isn't the latest one added."""
    times, at = row.times, event_ms - row.base_ms
    if not times or times[-1] != at:
        if len(times) == _SURROGATES.start:
            times += [0] * len(_SURROGATES)
        times.append(at)
    return chr(len(times) - 1)


def references(row: Row, events_ms: Iterable[int]) -> str:
    return "".join([reference(row, each) for each in events_ms])


def instants(row: Row, refs: str) -> list[int]:
    """The event times (ms) that references name."""
    times, base_ms = row.times, row.base_ms
    return [base_ms + times[ord(ref)] for ref in refs]


def place(row: Row, refs: str, event_ms: int) -> int:
    """How many of the references, ascending by time, are of times up to ``event_ms``."""
    times = row.times
    return bisect_right(refs, event_ms - row.base_ms, key=lambda ref: times[ord(ref)])


def tidy(row: Row) -> None:
    """Let go of the times that no state names, and count from the earliest of the others."""
    times, conditions = row.times, row.conditions
    used: set[str] = set()
    for state in conditions.values():
        used.update(_refs_in(state))
    kept = sorted({times[ord(ref)] for ref in used})
    first = kept[0] if kept else row.now_ms - row.base_ms
    if len(kept) > _SURROGATES.start:
        kept[_SURROGATES.start : _SURROGATES.start] = [first] * len(_SURROGATES)
    places = {at: number for number, at in enumerate(kept) if number not in _SURROGATES}
    table = {ord(ref): places[times[ord(ref)]] for ref in used}
    for key, state in conditions.items():
        refs = _refs_in(state)
        if refs is state:
            conditions[key] = state.translate(table)
        elif refs:
            state[0] = refs.translate(table)
    for membership in row.audiences.values():
        membership.since_ms -= first
    row.base_ms += first
    row.times = [at - first for at in kept]
    row.tidied = len(kept)


def _refs_in(state: Any) -> str:
    """The references of a state: it may be they, or begin with them and have lists after."""
    if type(state) is str:
        return state
    if len(state) > 1 and type(state[0]) is str and type(state[1]) is list:
        return state[0]
    return ""
