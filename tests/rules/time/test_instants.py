from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rules.time.instants import MAX_MS, MIN_MS, InstantInvalid, format_instant, parse_instant

T = 1_714_564_800_000


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("2024-05-01T12:00:00Z", T),
        ("2024-05-01t12:00:00z", T),
        ("2024-05-01 12:00:00Z", T),
        ("2024-05-01T14:00:00+02:00", T),
        ("2024-05-01T06:30:00-05:30", T),
        ("2024-05-01T12:00:00.5Z", T + 500),
        ("2024-05-01T12:00:00.123Z", T + 123),
        ("2024-05-01 12:00:00.123Z", T + 123),
        ("2024-05-01T12:00:00.123z", T + 123),
        ("2024-05-01T12:00:00.123999999Z", T + 123),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("2024-05-01", T - 43_200_000),
        ("0001-01-01", MIN_MS),
        ("9999-12-31T23:59:59.999999999Z", MAX_MS),
        (T, T),
        (float(T) + 0.75, T),
        (T // 1000, T),
        (1_714_564_800.5, T + 500),
        (10**11 - 1, (10**11 - 1) * 1000),
        (10**11, 10**11),
        (0, 0),
        (-1, -1000),
    ],
)
def test_an_instant_is_read(value: object, ms: int) -> None:
    assert parse_instant(value) == ms


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "2024",
        "2024-05",
        "2024-5-1",
        "2024-05-01T12:00:00",
        "2024-05-01T12:00Z",
        "2024-05-01T25:00:00Z",
        "2024-05-01T24:00:00.000Z",
        "2024-W18-3T12:00:00.000Z",
        "2024-02-30T00:00:00.000Z",
        "2024-05-01T12:00:00.0 0Z",
        "2024-02-30T00:00:00Z",
        "2024-05-01T12:00:60Z",
        "2024-05-01T12:00:00+0200",
        "2024-05-01T12:00:00.Z",
        "2024-05-01T12:00:00.1234567890Z",
        "2024-05-01T12:00:00+24:00",
        " 2024-05-01",
        "2024-05-01T12:00:00Z\n",
        "٢٠٢٤-٠٥-٠١",
        "2024-05-01T12:00:00.١٢٣Z",
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2024-05-01T12:00:00\ud800",
        1e300,
        float("inf"),
        -1e15,
        10**400,
        True,
        None,
        [],
        {},
        b"2024-05-01",
    ],
)
def test_what_is_no_instant_is_refused(value: object) -> None:
    with pytest.raises(InstantInvalid):
        parse_instant(value)


def test_not_a_number_is_refused() -> None:
    with pytest.raises(InstantInvalid):
        parse_instant(float("nan"))


@given(st.integers(MIN_MS, MAX_MS))
@example(MIN_MS)
@example(MAX_MS)
def test_what_is_written_is_read_back(ms: int) -> None:
    text = format_instant(ms)
    assert len(text) == 24
    assert parse_instant(text) == ms
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    assert text == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@given(st.integers(-(2**70), 2**70))
def test_writing_never_raises_and_keeps_order(ms: int) -> None:
    assert format_instant(ms) <= format_instant(ms + 1)


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),
    st.integers(-1439, 1439).map(lambda m: timedelta(minutes=m)),
)
def test_any_offset_is_read(moment: datetime, offset: timedelta) -> None:
    aware = moment.replace(tzinfo=timezone(offset))
    assert parse_instant(aware.isoformat()) == (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        milliseconds=1
    )
