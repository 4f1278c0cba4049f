"""Batches that the core writes are those that aiokafka writes."""

from __future__ import annotations

from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from tests.agents.kafka.raw.logs import ROWS, Row


def built(rows: list[Row], max_bytes: int) -> list[Any]:
    """As ``agents.kafka.batches.Batches`` has them, for a topic whose limit is the producer's."""
    found: list[Any] = []
    for timestamp_ms, key, value, headers in rows:
        parts: dict[str, Any] = {"timestamp": timestamp_ms, "key": key, "value": value, "headers": headers}
        if not found or found[-1].append(**parts) is None:
            found.append(BatchBuilder(max_bytes, 0, is_transactional=False))
            assert found[-1].append(**parts) is not None
    return found


@given(st.lists(ROWS, max_size=8), st.integers(1, 600))
def test_they_are_the_same_byte_for_byte(core: Any, parts: list[list[Row]], max_bytes: int) -> None:
    # aiokafka takes a first timestamp of -1 for none, and changes it with the next record.
    rows = [(max(timestamp_ms, 0), *rest) for part in parts for timestamp_ms, *rest in part]
    expected = [(bytes(each._build()), each.record_count()) for each in built(rows, max_bytes)]
    assert core.batches(rows, max_bytes) == expected


@given(ROWS, st.integers(0, 1 << 62), st.integers(0, 1 << 14), st.integers(0, 1 << 30), st.booleans())
def test_they_are_stamped_alike(
    core: Any, rows: list[Row], producer: int, epoch: int, sequence: int, is_transactional: bool
) -> None:
    builder: Any = BatchBuilder(1 << 20, 0, is_transactional=is_transactional)
    rows = [(max(timestamp_ms, 0), *rest) for timestamp_ms, *rest in rows]
    for timestamp_ms, key, value, headers in rows:
        builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)
    builder._set_producer_state(producer, epoch, sequence)
    ((whole, _),) = core.batches(rows, 1 << 20)
    assert core.stamp(whole, producer, epoch, sequence, is_transactional) == bytes(builder._build())


def test_packed_ones_hold_the_same_records(core: Any) -> None:
    rows: list[Row] = [(number, b"key", b"value " * 20, [("a", None)]) for number in range(300)]
    packed = core.batches(rows, 20_000, True)
    plain = core.batches(rows, 20_000)
    assert [count for _, count in packed] == [count for _, count in plain]
    for (one, count), (other, _) in zip(packed, plain, strict=True):
        assert len(one) < len(other) / 4
        found, expected = core.Fetched(one, 0, []), core.Fetched(other, 0, [])
        assert [found.record(at) for at in range(count)] == [expected.record(at) for at in range(count)]


def test_a_batch_that_gains_nothing_is_not_packed(core: Any) -> None:
    rows: list[Row] = [(5, b"k", b"", [])]
    assert core.batches(rows, 1_000, True) == core.batches(rows, 1_000)
