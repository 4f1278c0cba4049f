"""The rows of members, read from the changelog and kept on disk: there may be more than memory holds.

Compaction takes a row away once there is a newer one, wherever that lies. So a reader that stops at the end
that it noted before it began may miss a user altogether: the older row is gone when it comes there, and the
newer one lies behind that end. Such a gap is seen: offsets are missing. As long as they are, what was written
meanwhile is read, too. Nothing is missed in a stretch without gaps, nor before it: what was taken away there
made room for a row that was written before the stretch's end was noted.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.restore.foreign_records import foreign
from rules.state.row import Row
from tables.changelog.format import is_row
from tables.codec import RowUnreadable, decode_row
from tables.store import RocksMemory, RocksStore, Write
from tables.store_faults import StoreInUse, check_unlocked

log = structlog.get_logger("turnstile.deliver")

PREFIX: Final = "turnstile-members-"
ROWS: Final = "rows"
LEFT_SECONDS: Final = 60
"""A folder that is younger may be one whose store is just being opened."""
_OURS: Final[set[Path]] = set()
"""The folders of this process. To look whether a store of its own is locked would end the lock."""
POLL_MS: Final = 500
SCANNED: Final = 500
"""Rows that are in memory at a time."""
CACHE_BYTES: Final = 4 * 1024 * 1024
WRITE_BUFFER_BYTES: Final = 8 * 1024 * 1024


class MemberRows:
    """Rows by their keys, in a folder that goes when this is closed; after a kill when another begins."""

    def __init__(self) -> None:
        _remove_left()
        self._folder = TemporaryDirectory(prefix=PREFIX)
        _OURS.add(Path(self._folder.name))
        path = Path(self._folder.name) / ROWS
        self._store = RocksStore(path, RocksMemory.of(CACHE_BYTES, WRITE_BUFFER_BYTES))

    def take(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Rows of the changelog, in order; those of users who are in no audience, and None, are dropped."""
        latest = dict(rows)
        kept = [(key, row) for key, row in latest.items() if row is not None and is_member_of_any(row)]
        gone = latest.keys() - {key for key, _ in kept}
        self._store.write(Write(kept, list(gone)))

    def get(self, key: bytes) -> bytes | None:
        return self._store.get_many([key])[0]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows, in the order of their keys."""
        after = b""
        while rows := self._store.scan(after, SCANNED):
            yield from rows
            after = rows[-1][0]

    def close(self) -> None:
        self._store.close()
        _OURS.discard(Path(self._folder.name))
        self._folder.cleanup()


def _is_in_use(path: Path) -> bool:
    try:
        check_unlocked(path)
    except StoreInUse:
        return True
    return False


def _remove_left() -> None:
    """The folders of processes that were killed: rows of users who were erased since may lie in them."""
    old = time.time() - LEFT_SECONDS
    for folder in Path(gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # others' folders, and what another process removes just now
            if folder not in _OURS and folder.stat().st_mtime < old and not _is_in_use(folder / ROWS):
                shutil.rmtree(folder, ignore_errors=True)


async def read_rows(
    new_consumer: Callable[[], AIOKafkaConsumer],
    changelog: TopicPartition,
    is_wanted: Callable[[bytes], bool],
    into: MemberRows,
) -> None:
    """The latest row of each user that a partition of the changelog holds, if ``is_wanted`` takes its key."""
    async with new_consumer() as consumer:
        consumer.assign([changelog])
        await consumer.seek_to_beginning(changelog)
        reached, has_gaps = await consumer.position(changelog), True
        while has_gaps:
            end = (await consumer.end_offsets([changelog]))[changelog]
            has_gaps = await _read_to(end, reached, consumer, changelog, is_wanted, into)
            reached = await consumer.position(changelog)


async def _read_to(
    end: int,
    next_offset: int,
    consumer: AIOKafkaConsumer,
    changelog: TopicPartition,
    is_wanted: Callable[[bytes], bool],
    into: MemberRows,
) -> bool:
    """Whether offsets from ``next_offset`` on were missing on the way."""
    has_gaps = False
    while await consumer.position(changelog) < end:
        polled = (await consumer.getmany(changelog, timeout_ms=POLL_MS)).get(changelog, [])
        for record in polled:
            has_gaps = has_gaps or record.offset != next_offset
            next_offset = record.offset + 1
        into.take((each.key, each.value) for each in polled if _is_row(each) and is_wanted(each.key))
    return has_gaps or next_offset < end


def _is_row(record: Any) -> bool:
    if (fault := foreign(record)) is not None:
        log.error("changelog_foreign", topic=record.topic, offset=record.offset, error=fault)
        return False
    return is_row(record.key)


def is_member_of_any(value: bytes) -> bool:
    """Whether a row has an audience that its user is in. Rows that can't be read count as such."""
    row = readable(value)
    return row is None or any(each.inside for each in row.audiences.values())


def readable(value: bytes) -> Row | None:
    """A row; None: it can't be read."""
    try:
        return decode_row(value)
    except (RowUnreadable, msgspec.DecodeError):
        return None
