"""Stores that a worker left behind: partitions go to others, and what is erased there stays in files here.

Such a store only saves time when the partition comes back. So it goes when a user of the partition was erased
after it was in use.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from agents.restore.stores import stores_of
from tables.store_faults import forget_aside

LEFT: Final = ".left"
"""After the name of a store that is being removed."""
CLEANED_MS: Final = 10 * 60_000
"""A store that is in use for so long after an erasure was cleaned."""


class LeftStores:
    """Of one topic. ``in_use``: the partitions whose stores are open, or may be opened at any moment.
    ``erased_ms``: the last erasure of somebody who may be in the store of a partition, by the wall clock;
    None: there was none."""

    def __init__(
        self,
        directory: Path,
        topic: str,
        in_use: Callable[[], Collection[int]],
        erased_ms: Callable[[int], int | None],
    ) -> None:
        self._directory = directory
        self._topic = topic
        self._in_use = in_use
        self._erased_ms = erased_ms

    def put_away(self) -> list[Path]:
        """Rename those that are to go, so that nobody opens one meanwhile; all that are to be removed."""
        used = set(self._in_use())
        for partition, path in stores_of(self._directory, self._topic).items():
            erased_ms = self._erased_ms(partition)
            if partition in used or erased_ms is None or _used_ms(path) > erased_ms + CLEANED_MS:
                continue
            forget_aside(path)
            path.rename(path.with_name(path.name + LEFT))
        return sorted(self._directory.glob(f"{self._topic}-*{LEFT}"))


def _used_ms(path: Path) -> int:
    return max((each.stat().st_mtime_ns // 1_000_000 for each in path.iterdir()), default=0)
