"""Events that come again under the same name and ``id``: what a row remembers of those that were applied.

``Row.seen`` has 6 bytes of the 64-bit XXH3 of each name and id, in order of application. ``Row.seen_at``
tells when, in runs: [second, number of ids, second, number of ids, ...]. A run is as long as a 64th of the
window, but at least a second, and is forgotten as a whole: an id is remembered for the window and up to one
run longer.

Of two ids 48 bits are equal by chance once in 10**14 times; a user's event is compared with that user's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xxhash import xxh3_64_digest

from rules.state.row import Row

DAY_MS = 86_400_000
LONGEST_MS = 49 * DAY_MS
_HASH = 6
_RUNS = 64
"""How many runs a window has."""


@dataclass(frozen=True, slots=True)
class Dedupe:
    """How long ids are remembered, and how many of one user. ``dedupe_of`` makes it."""

    run_ms: int
    """Length of a run; 0: ids aren't remembered."""
    forgotten_ms: int
    """How long after its beginning a run is forgotten."""
    most: int

    @property
    def window_ms(self) -> int:
        return self.forgotten_ms - self.run_ms


def dedupe_of(window_ms: int, most: int) -> Dedupe:
    """For a window, 0 for none, and the most ids that are remembered of a user, the latest."""
    run_ms = max(1, window_ms // (_RUNS * 1000)) * 1000 if window_ms else 0
    return Dedupe(run_ms, run_ms + window_ms, most)


def hash_of(event: str, record_id: str) -> bytes:
    """6 bytes that stand for the id of an event of this name (docs/semantics.md, section 2)."""
    told = f"{len(event)}:{event}{record_id}"
    return xxh3_64_digest(told.encode("utf-8", "surrogatepass"))[:_HASH]


def is_repeated(row: Row, record: bytes, now_ms: int, dedupe: Dedupe) -> bool:
    """Whether an event's name and id (``hash_of``) was applied to the row recently."""
    seen = row.seen
    at = seen.find(record)
    while at != -1:
        if at % _HASH == 0:
            return now_ms < _second(row.seen_at, at // _HASH) * 1000 + dedupe.forgotten_ms
        at = seen.find(record, at + 1)
    return False


def remember(row: Row, record: bytes, now_ms: int, dedupe: Dedupe) -> int:
    """Note an id as applied at ``now_ms``, and let go of those whose window is over.

    Says how many went before that, because there were too many.
    """
    runs, seen = row.seen_at, row.seen
    while runs and now_ms >= runs[0] * 1000 + dedupe.forgotten_ms:
        seen = seen[runs[1] * _HASH :]
        del runs[:2]
    second = (now_ms - now_ms % dedupe.run_ms) // 1000
    if runs and runs[-2] == second:
        runs[-1] += 1
    else:
        runs += (second, 1)
    row.seen = seen = seen + record
    dropped = len(seen) // _HASH - dedupe.most
    if dropped <= 0:
        return 0
    row.seen = seen[dropped * _HASH :]
    for _ in range(dropped):
        runs[1] -= 1
        if not runs[1]:
            del runs[:2]
    return dropped


def remember_too(row: Row, other: Row) -> bool:
    """Remember also what the other row of the same user does; where both know an id, as the other one says.

    Whether that changed the row.
    """
    known = dict(_ids(row)) | dict(_ids(other))
    in_order = sorted(known, key=known.__getitem__)  # stable: of one run, those of the row come first
    runs: list[int] = []
    for record in in_order:
        if runs and runs[-2] == known[record]:
            runs[-1] += 1
        else:
            runs += (known[record], 1)
    before = row.seen, row.seen_at
    row.seen, row.seen_at = b"".join(in_order), runs
    return before != (row.seen, row.seen_at)


def _ids(row: Row) -> Iterator[tuple[bytes, int]]:
    """Each id that the row remembers, with the second of its run."""
    at = 0
    for second, count in zip(row.seen_at[::2], row.seen_at[1::2], strict=True):
        for _ in range(count):
            yield row.seen[at : at + _HASH], second
            at += _HASH


def _second(runs: list[int], index: int) -> int:
    """The second of the run that has the ``index``-th id."""
    at = 0
    while index >= runs[at + 1]:
        index -= runs[at + 1]
        at += 2
    return runs[at]
