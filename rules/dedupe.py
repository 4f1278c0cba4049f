"""Events that come again under the same ``id``: what a row remembers of those that were applied.

``Row.seen`` has 6 bytes of each id's 64-bit XXH3, in order of application. ``Row.seen_at`` tells when, in
runs: [second, number of ids, second, number of ids, ...]. A run is as long as a 64th of the window, but at
least a second, and is forgotten as a whole: an id is remembered for the window and up to one run longer.

Of two ids 48 bits are equal by chance once in 10**14 times; a user's event is compared with that user's.
"""

from __future__ import annotations

from xxhash import xxh3_64_digest

from rules.row import Row

DAY_MS = 86_400_000
LONGEST_MS = 49 * DAY_MS
_HASH = 6
_RUNS = 64
"""How many runs a window has."""


def hash_of(record_id: str) -> bytes:
    """6 bytes that stand for an id."""
    return xxh3_64_digest(record_id.encode("utf-8", "surrogatepass"))[:_HASH]


def is_repeated(row: Row, record: bytes, now_ms: int, window_ms: int) -> bool:
    """Whether an id (``hash_of``) was applied to the row of late."""
    seen = row.seen
    at = seen.find(record)
    while at != -1:
        if at % _HASH == 0:
            return now_ms < _forgotten_ms(_second(row.seen_at, at // _HASH), window_ms)
        at = seen.find(record, at + 1)
    return False


def remember(row: Row, record: bytes, now_ms: int, window_ms: int, most: int) -> int:
    """Note an id as applied at ``now_ms``, and let go of those whose window is over.

    At most ``most`` stay, the latest; says how many went too early for that.
    """
    runs = row.seen_at
    gone = dropped = 0
    while runs and now_ms >= _forgotten_ms(runs[0], window_ms):
        gone += runs[1]
        del runs[:2]
    second = _run_start(now_ms, window_ms)
    if runs and runs[-2] == second:
        runs[-1] += 1
    else:
        runs += (second, 1)
    row.seen = seen = (row.seen[gone * _HASH :] if gone else row.seen) + record
    while len(seen) > most * _HASH:
        row.seen = seen = seen[_HASH:]
        dropped += 1
        runs[1] -= 1
        if not runs[1]:
            del runs[:2]
    return dropped


def _second(runs: list[int], index: int) -> int:
    """The second of the run that has the ``index``-th id."""
    at = 0
    while index >= runs[at + 1]:
        index -= runs[at + 1]
        at += 2
    return runs[at]


def _run_seconds(window_ms: int) -> int:
    return max(1, window_ms // (_RUNS * 1000))


def _run_start(now_ms: int, window_ms: int) -> int:
    """The second in which the run of an instant begins."""
    length = _run_seconds(window_ms)
    return now_ms // 1000 // length * length


def _forgotten_ms(second: int, window_ms: int) -> int:
    return (second + _run_seconds(window_ms)) * 1000 + window_ms
