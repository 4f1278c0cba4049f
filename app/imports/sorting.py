"""Sorting more records than fit into memory: sorted runs on disk, then merged.

Records are in the order of (partition, timestamp, number), where the number says in which order they came.
The files of the runs have no names, so they are gone with the process, however it ends.

Memory: ``buffer_bytes`` for the records that are being collected, and as much again at the most for what is
read ahead of the runs. Disk: as many bytes as the records have, and for a while as much again when so many
runs were written that they are merged into longer ones.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from struct import Struct
from typing import IO, Final, NamedTuple

MOST_RUNS: Final = 64
"""So many runs of about one size are merged into one, so that few files are open."""
_RECORD_BYTES: Final = 260
"""That a record takes in memory besides key and value: a tuple, three numbers, two byte strings."""
_LEAST_AHEAD_BYTES: Final = 64 * 1024
_HEAD: Final = Struct(">qqHI")


class SortedRecord(NamedTuple):
    """A record on its way into one partition."""

    timestamp: int
    number: int
    key: bytes
    value: bytes


class _Run(NamedTuple):
    """A file of records, and where those of each partition begin; one more: where the last ones end."""

    file: IO[bytes]
    starts: list[int]


class Sorter:
    """Takes records in any order, and gives those of each partition in order of time. Close it at the end."""

    def __init__(self, partitions: int, buffer_bytes: int, folder: Path | None = None) -> None:
        self.records = 0
        self.counts = [0] * partitions
        """By partition."""
        self._buffer_bytes = buffer_bytes
        self._folder = folder
        self._held: list[list[SortedRecord]] = [[] for _ in range(partitions)]
        self._held_bytes = 0
        self._runs: list[list[_Run]] = [[]]
        """By how often their records were merged."""

    def __enter__(self) -> Sorter:
        return self

    def __exit__(self, *_: object) -> None:
        for run in self._all_runs():
            run.file.close()

    def add(self, partition: int, timestamp: int, key: bytes, value: bytes) -> None:
        """Raises OSError when the disk is full."""
        self._held[partition].append(SortedRecord(timestamp, self.records, key, value))
        self.records += 1
        self.counts[partition] += 1
        self._held_bytes += _RECORD_BYTES + len(key) + len(value)
        if self._held_bytes >= self._buffer_bytes:
            self._spill()

    def sorted(self, partition: int) -> Iterator[SortedRecord]:
        """The records of a partition. Nothing may be added any more."""
        held = sorted(self._held[partition])
        return self._merged(self._all_runs(), partition, held)

    def _all_runs(self) -> list[_Run]:
        return [run for level in self._runs for run in level]

    def _spill(self) -> None:
        self._runs[0].append(self._written(sorted(each) for each in self._held))
        self._held = [[] for _ in self._held]
        self._held_bytes = 0
        for level, runs in enumerate(self._runs):
            if len(runs) < MOST_RUNS:
                break
            longer = self._written(self._merged(runs, each) for each in range(len(self._held)))
            for run in runs:
                run.file.close()
            self._runs[level] = []
            if level + 1 == len(self._runs):
                self._runs.append([])
            self._runs[level + 1].append(longer)

    def _merged(
        self, runs: list[_Run], partition: int, held: Iterable[SortedRecord] = ()
    ) -> Iterator[SortedRecord]:
        return heapq.merge(*(self._read(run, partition, len(runs)) for run in runs), held)

    def _written(self, partitions: Iterable[Iterable[SortedRecord]]) -> _Run:
        file: IO[bytes] = tempfile.TemporaryFile(dir=self._folder, prefix="turnstile-import-")  # noqa: SIM115
        lengths = [0]
        for records in partitions:
            length = 0
            for timestamp, number, key, value in records:
                length += file.write(_HEAD.pack(timestamp, number, len(key), len(value)) + key + value)
            lengths.append(length)
        file.flush()
        return _Run(file, list(accumulate(lengths)))

    def _read(self, run: _Run, partition: int, beside: int) -> Iterator[SortedRecord]:
        """The records of a partition in a run, read while ``beside`` runs are read."""
        ahead = max(_LEAST_AHEAD_BYTES, min(1024 * 1024, self._buffer_bytes // beside))
        at, end = run.starts[partition], run.starts[partition + 1]
        data, place = b"", 0
        while at < end or place < len(data):
            if len(data) - place < _HEAD.size:
                data, place, at = self._more(run, data[place:], at, end, ahead)
            timestamp, number, key_bytes, value_bytes = _HEAD.unpack_from(data, place)
            needed = _HEAD.size + key_bytes + value_bytes
            if len(data) - place < needed:
                data, place, at = self._more(run, data[place:], at, end, max(ahead, needed))
            key_at = place + _HEAD.size
            value_at, place = key_at + key_bytes, place + needed
            yield SortedRecord(timestamp, number, data[key_at:value_at], data[value_at:place])

    @staticmethod
    def _more(run: _Run, rest: bytes, at: int, end: int, size: int) -> tuple[bytes, int, int]:
        more = os.pread(run.file.fileno(), min(size, end - at), at)
        return rest + more, 0, at + len(more)
