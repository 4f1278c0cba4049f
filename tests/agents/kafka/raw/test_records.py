"""Raw records are a sequence like any other, which copies nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.kafka.consumed import Consumed
from agents.kafka.raw.records import RawRecords, slice_end, value_bytes
from tests.agents.kafka.raw.logs import Row, batch

ROWS: list[Row] = [
    (
        100 + number % 7,
        b"k" if number % 3 else None,
        bytes(number) if number % 4 else None,
        [("n", b"%d" % number)],
    )
    for number in range(20)
]
PLAIN = [
    Consumed("events", 3, 50 + number, timestamp_ms, key, value, list(headers))
    for number, (timestamp_ms, key, value, headers) in enumerate(ROWS)
]


@pytest.fixture(scope="module")
def records(core: Any) -> RawRecords:
    return RawRecords("events", 3, core.Fetched(batch(50, ROWS, 3), 50, []))


PLACES = st.none() | st.integers(-25, 25)


@given(PLACES, PLACES, PLACES, PLACES, st.integers(-25, 25))
def test_they_are_sliced_as_a_list_is(
    records: RawRecords, start: int | None, end: int | None, then: int | None, last: int | None, at: int
) -> None:
    found, expected = records[start:end][then:last], PLAIN[start:end][then:last]
    assert found.fetched is records.fetched
    assert (len(found), list(found)) == (len(expected), expected)
    if -len(expected) <= at < len(expected):
        assert found[at] == expected[at]
    else:
        with pytest.raises(IndexError):
            found[at]
    assert value_bytes(found) == value_bytes(expected)
    times = [each.timestamp for each in expected]
    assert found.last_timestamp_ms == max(times, default=None)
    if expected:
        ends = expected[0].offset, expected[-1].offset, expected[-1].offset + 1
        assert (found.first_offset, found.last_offset, found.next_offset) == ends


@given(st.integers(0, 20), st.integers(0, 19), st.integers(1, 30), st.integers(0, 250))
def test_slices_of_a_computation_end_where_a_list_would(
    records: RawRecords, from_record: int, start: int, most: int, most_bytes: int
) -> None:
    found, expected = records[from_record:], PLAIN[from_record:]
    start = min(start, len(expected))
    assert slice_end(found, start, most, most_bytes) == slice_end(expected, start, most, most_bytes)


def test_no_records_are_false_and_have_no_offset(records: RawRecords) -> None:
    none = records[5:5]
    assert not none
    for name in ("first_offset", "last_offset", "next_offset"):
        with pytest.raises(IndexError):
            getattr(none, name)
    with pytest.raises(ValueError, match="step 1, not 2"):
        records[::2]


def test_records_from_elsewhere_are_read_alike(core: Any) -> None:
    given = [(each.offset, each.timestamp, each.key, each.value) for each in PLAIN]
    found = RawRecords("events", 3, core.Fetched.of(given))
    assert [(each.offset, each.timestamp, each.key, each.value) for each in found] == given
    assert all(list(each.headers) == [] for each in found)
