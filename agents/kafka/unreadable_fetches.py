"""Fetches that aiokafka can't read. It would raise for them at every try, and so stop a partition for good.

- Names of headers that aren't UTF-8: brokers take them, and only some clients can't write them. The rest of
  the fetch is read in Python, and bytes that are not UTF-8 are written as ``\\xff`` in the name.
- Batches of several formats, from before and after Kafka 0.11: aiokafka's native code takes all for the first
  one's format. They are told apart in Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record import default_records, memory_records

_HEAD = Struct(">qi4xb")
"""First offset of a batch (of a compressed one in an old format its last), bytes that follow, format."""
_HEAD_END = 12
_LAST_OFFSET_DELTA = Struct(">23xi")


def read_every_record() -> None:
    """From now on all consumers of this process do."""
    if fetcher.MemoryRecords is not _batches:
        fetcher.MemoryRecords = _batches
        fetcher.PartitionRecords._unpack_records = _unpack_records


def _batches(data: bytes) -> Any:
    at, end = 0, len(data) - _HEAD.size
    first = data[_HEAD.size - 1 : _HEAD.size]
    while at <= end:
        _, length, magic = _HEAD.unpack_from(data, at)
        if magic != first[0]:
            return _Mixed(data)
        at += _HEAD_END + length
    return _Alike(data)


class _Alike(memory_records.MemoryRecords):  # type: ignore[misc]
    """Batches of one format, and their bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class _Mixed(memory_records._MemoryRecordsPy):  # type: ignore[misc]
    """Batches of several formats, and their bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


_unpack_as_ever = fetcher.PartitionRecords._unpack_records


def _unpack_records(self: Any) -> Iterator[Any]:
    data: bytes = self._records.data
    try:
        yield from _unpack_as_ever(self)
    except UnicodeDecodeError:
        # Batches that were read stay behind: what they say of transactions must not be heard twice.
        self._records = _Lenient(data[_batch_with(data, self.next_fetch_offset) :])
        yield from _unpack_as_ever(self)


def _batch_with(data: bytes, offset: int) -> int:
    """Where the batch begins that has the record at this offset, or the first one after it."""
    at, end = 0, len(data) - _LAST_OFFSET_DELTA.size
    while at <= end:
        last, length, magic = _HEAD.unpack_from(data, at)
        if magic >= 2:
            last += _LAST_OFFSET_DELTA.unpack_from(data, at)[0]
        if last >= offset:
            break
        at += _HEAD_END + length
    return at


class _Lenient(memory_records._MemoryRecordsPy):  # type: ignore[misc]
    """Batches whose headers may have any names."""

    def next_batch(self) -> Any:
        content = self._next_slice
        batch = super().next_batch()
        return _Batch(content) if isinstance(batch, default_records.DefaultRecordBatch) else batch


class _Batch(default_records._DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Bytes(self._buffer)


class _Bytes(bytes):
    """Parts of them can always be decoded."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Bytes(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)
