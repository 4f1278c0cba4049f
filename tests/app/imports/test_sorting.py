"""Sorting more than fits into memory: the order of time in each partition, and bounds that hold."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from random import Random

import pytest

from app.imports import sorting
from app.imports.sorting import Sorter


@pytest.mark.parametrize("buffer_bytes", [1, 3_000, 20_000, 10**9])
def test_each_partition_comes_in_the_order_of_time_and_ties_as_they_came(
    buffer_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "MOST_RUNS", 4)
    random = Random(buffer_bytes)
    given: list[list[tuple[int, int, bytes, bytes]]] = [[], [], []]
    with Sorter(3, buffer_bytes) as sorter:
        for number in range(500):
            partition, timestamp = random.choice([0, 2]), random.randint(0, 50)
            key, value = b"u%d" % random.randint(0, 9), random.randbytes(random.choice([0, 10, 3000]))
            sorter.add(partition, timestamp, key, value)
            given[partition].append((timestamp, number, key, value))
        assert [list(sorter.sorted(each)) for each in range(3)] == [sorted(each) for each in given]
        assert sorter.counts == [len(each) for each in given]
        assert sorter.records == 500


def test_records_larger_than_what_is_read_ahead_come_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "_LEAST_AHEAD_BYTES", 100)
    with Sorter(1, 1) as sorter:
        values = [bytes([each]) * (each * 37) for each in range(30)]
        for timestamp, value in enumerate(values):
            sorter.add(0, -timestamp, b"", value)
        assert [each.value for each in sorter.sorted(0)] == values[::-1]


def test_memory_stays_within_the_buffer_whatever_is_sorted(tmp_path: Path) -> None:
    """Ten times as many records as fit."""
    buffer_bytes = 2_000_000
    tracemalloc.start()
    try:
        with Sorter(4, buffer_bytes, tmp_path) as sorter:
            for number in range(10 * buffer_bytes // 560):
                sorter.add(number % 4, number * 7919 % 10_007, b"user", b"x" * 300)
            collected = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            assert sum(1 for each in range(4) for _ in sorter.sorted(each)) == sorter.records
            merged = tracemalloc.get_traced_memory()[1]
            assert list(tmp_path.iterdir()) == [], "the files have no names"
    finally:
        tracemalloc.stop()
    assert collected < 2 * buffer_bytes
    assert merged < 2 * buffer_bytes
