"""Stores whose files are cleaned of users who were erased (``tables.cleaning``), one at a time, in a thread.

RocksDB does the work beside all else. So a quiet moment isn't waited for, but cleaning a store takes a small
share of the time: what is erased meanwhile goes together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final
from weakref import WeakKeyDictionary

import structlog

from tables.store import RowStore

log = structlog.get_logger("turnstile.restore")

PAUSE_SECONDS: Final = 2.0
PAUSES: Final = 20
"""A store's next cleaning comes after so many times what the last one took."""


class StoreCleaner:
    """Of one process."""

    def __init__(self) -> None:
        self._not_before: WeakKeyDictionary[RowStore, float] = WeakKeyDictionary()
        self._at_work: asyncio.Task[None] | None = None

    async def clean(self, store: RowStore) -> bool:
        """Whether the files are clean now; an unclean store may have to wait. Raises StoreBroken."""
        if not store.is_unclean:
            return True
        if time.monotonic() < self._not_before.get(store, 0.0):
            return False
        began = time.monotonic()
        is_done = await asyncio.to_thread(store.clean)
        now = time.monotonic()
        self._not_before[store] = now + max(PAUSE_SECONDS, PAUSES * (now - began))
        log.info("store_cleaned", done=is_done, seconds=round(now - began, 3))
        return is_done and not store.is_unclean

    def look(self, stores: Iterable[RowStore]) -> None:
        """Begin to clean those that are unclean, if none is being cleaned."""
        if self._at_work is not None and not self._at_work.done():
            return
        unclean = [store for store in stores if store.is_unclean]
        if unclean:
            self._at_work = asyncio.create_task(self._clean_all(unclean), name="cleaning")

    async def _clean_all(self, stores: Iterable[RowStore]) -> None:
        for store in stores:
            try:
                await self.clean(store)
            except Exception as error:  # whoever reads the store next meets it, too
                log.warning("store_not_cleaned", error=repr(error))
