"""The members of one held partition, page by page, in the order of their row keys."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

from agents.pushes.contract.member import Member
from agents.pushes.snapshot.membership import Deciding
from rules.time.instants import MIN_MS
from tables.row_store import RowStore

PAGE: Final = 2_000
"""Rows that are in memory at a time."""
TIMERS: Final = 10_000
Result = TypeVar("Result")


async def read_members(
    store: RowStore, deciding: Deciding, make: Callable[[list[Member]], Result]
) -> AsyncIterator[Result]:
    """What ``make`` makes of each page; it runs in another thread, and so does all that reads rows.

    Looked at are those who are in now, and whoever a timer before the instant, or what came after it, may
    have made a member of. Raises InstantPassed, StoreClosed, StoreBroken.
    """
    others = await _others(store, deciding)
    after, at = b"", 0
    while True:
        page = store.members(deciding.audience.key, after, PAGE)
        is_last = len(page) < PAGE
        end = len(others) if is_last else bisect_right(others, page[-1])
        keys = sorted({*page, *others[at:end]})
        at = end
        for begin in range(0, len(keys), PAGE):
            part = keys[begin : begin + PAGE]
            yield await asyncio.to_thread(_page, store, deciding, part, make)
        if is_last:
            return
        after = page[-1]


def _page(
    store: RowStore, deciding: Deciding, keys: list[bytes], make: Callable[[list[Member]], Result]
) -> Result:
    return make(deciding.members(keys, store.get_many_aside(keys)))


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
