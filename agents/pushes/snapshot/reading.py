"""The members of one held partition, page by page, in the order of their row keys."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Final, TypeAlias, TypeVar

from agents.pushes.contract.member import Member
from agents.pushes.snapshot.membership import Deciding
from rules.time.instants import MIN_MS
from tables.row_store import RowStore

PAGE: Final = 2_000
"""Rows that are read at a time; twice as many are in memory."""
TIMERS: Final = 10_000
Result = TypeVar("Result")
Read: TypeAlias = tuple[list[bytes], list[bytes | None]]
"""Keys, and their rows."""


async def read_members(
    store: RowStore, deciding: Deciding, make: Callable[[list[Member]], Result]
) -> AsyncGenerator[Result, None]:
    """What ``make`` makes of each page, one at a time; it runs in another thread. Close it where it isn't
    read to its end.

    Looked at are those who are in now, and whoever a timer before the instant, or what came after it, may
    have made a member of. Raises InstantPassed, StoreClosed, StoreBroken.
    """
    others = await _others(store, deciding)
    # RocksDB reads without Python's lock, so the rows of the next page are read while this one is decided.
    ahead: asyncio.Task[Read] | None = None
    try:
        for keys in _pages(store, deciding, others):
            page, ahead = ahead, asyncio.create_task(asyncio.to_thread(_read, store, keys))
            if page is not None:
                yield await asyncio.to_thread(_made, deciding, await page, make)
        if ahead is not None:
            yield await asyncio.to_thread(_made, deciding, await ahead, make)
    finally:
        if ahead is not None:
            await asyncio.gather(ahead, return_exceptions=True)


def _pages(store: RowStore, deciding: Deciding, others: list[bytes]) -> Iterator[list[bytes]]:
    """Row keys in order."""
    after, at = b"", 0
    while True:
        page = store.members(deciding.audience.key, after, PAGE)
        is_last = len(page) < PAGE
        end = len(others) if is_last else bisect_right(others, page[-1])
        keys = page if at == end else sorted({*page, *others[at:end]})
        at = end
        for begin in range(0, len(keys), PAGE):
            yield keys[begin : begin + PAGE]
        if is_last:
            return
        after = page[-1]


def _read(store: RowStore, keys: list[bytes]) -> Read:
    return keys, store.get_many_aside(keys)


def _made(deciding: Deciding, read: Read, make: Callable[[list[Member]], Result]) -> Result:
    return make(deciding.members(*read))


async def _others(store: RowStore, deciding: Deciding) -> list[bytes]:
    """Keys of rows that may be members', and that the index doesn't have as such."""
    found = set(deciding.undone.changed)
    from_ms, instant_ms = MIN_MS, deciding.instant_ms
    while from_ms <= instant_ms:
        timers = store.timers(from_ms, instant_ms + 1, TIMERS)
        found.update(key for _, key in timers)
        if len(timers) < TIMERS:
            break
        last_ms = timers[-1][0]
        if timers[0][0] == last_ms:  # more of one instant than are read at a time
            found.update(key for _, key in store.timers(last_ms, last_ms + 1, 1 << 40))
            last_ms += 1
        from_ms = last_ms
        await asyncio.sleep(0)
    return sorted(found)
