"""Reads of stores in another thread, for lookups."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tables.row_store import RowStore

Values = list[bytes | None]


class StoreReads:
    """What is asked while a read is under way is read together: threads change rarely, however many ask."""

    def __init__(self) -> None:
        self._waiting: list[tuple[RowStore, list[bytes], asyncio.Future[Values]]] = []
        self._running: asyncio.Task[None] | None = None

    async def get_many(self, store: RowStore, keys: list[bytes]) -> Values:
        """As ``RowStore.get_many_aside``, and raises what that raises."""
        future: asyncio.Future[Values] = asyncio.get_running_loop().create_future()
        self._waiting.append((store, keys, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="reads for lookups")
        return await future

    async def _run(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, []
            found = await asyncio.to_thread(_read, [(store, keys) for store, keys, _ in asked])
            for (_, _, future), values in zip(asked, found, strict=True):
                if future.done():
                    continue  # whoever asked has gone
                if isinstance(values, Exception):
                    future.set_exception(values)
                else:
                    future.set_result(values)


def _read(asked: Sequence[tuple[RowStore, list[bytes]]]) -> list[Values | Exception]:
    found: list[Values | Exception] = []
    for store, keys in asked:
        try:
            found.append(store.get_many_aside(keys))
        except Exception as error:  # it is raised where it was asked
            found.append(error)
    return found
