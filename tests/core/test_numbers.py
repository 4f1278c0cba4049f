"""Equality, order, sums and instants of the native core against Python's."""

from __future__ import annotations

import operator
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from rules.state import profile_update
from rules.time.instants import MAX_MS, MIN_MS, InstantInvalid, format_instant, number_ms, parse_instant
from tests.core.parts import core, many

near = st.sampled_from([0, 1, 2**53, 2**63 - 1, -(2**63), 10**11, MIN_MS // 1000, MAX_MS]).flatmap(
    lambda middle: st.integers(middle - 3, middle + 3)
)
whole = near.filter(lambda each: -(2**63) <= each < 2**63) | st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False) | near.map(float)
numbers = whole | floats | floats.map(lambda each: each / 2)
leaves = st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, 2, "", "bool", "a", 0.5]) | numbers
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=6,
)


def instant_of(value: str | float) -> int | None:
    try:
        return parse_instant(value)
    except InstantInvalid:
        return None


def order_of(one: Any, other: Any) -> int | None:
    if type(one) in (int, float) and type(other) in (int, float):
        return (one > other) - (one < other)
    return None


@many
@given(values, values)
@example([True, "bool"], True)
@example([[1, "bool"]], [True])
@example({"a": 1}, {"a": True})
def test_values_are_equal_as_in_python(one: Any, other: Any) -> None:
    same, equal, same_key, order = core.compare(msgspec.json.encode(one), msgspec.json.encode(other))
    assert same == profile_update.same_value(one, other)
    assert equal == operator.eq(one, other)
    assert same_key == (profile_update._key(one) == profile_update._key(other)) == same
    assert order == order_of(one, other)


@many
@given(numbers, numbers)
def test_sums_are_bounded_as_in_python(one: float, other: float) -> None:
    assert core.sum(one, other) == msgspec.msgpack.encode(profile_update._bounded_sum(one, other))


TEMPLATES = [
    "2024-05-01T10:20:30.123Z", "2024-05-01T10:20:30Z", "2024-05-01", "2024-02-29 23:59:59.1+01:00",
    "1900-02-29T00:00:00.000Z", "0001-01-01T00:00:00.000Z", "9999-12-31t23:59:59.999999999-23:59",
    "2024-W01-1T10:20:30.123Z", "2024W01T102030.123Z", "20240501T102030.1234567Z", "2024-05-01T24:00:00.000Z",
    "2024-05-01T10:20+01:00:0.123Z", "2024-05-01T10:20:30,123Z", "2024-W18-3T1:20:30.12+Z",
]  # fmt: skip


@st.composite
def instants(draw: st.DrawFn) -> str:
    """Texts that are instants or nearly so."""
    text = list(draw(st.sampled_from(TEMPLATES)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text) - 1))
        each = draw(st.sampled_from("0123456789-:.,+ZzTt W２é\0"))
        text[at : at + draw(st.integers(0, 2))] = [each]
    return "".join(text)


@many
@given(instants() | st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_instants_are_read_as_python_reads_them(text: str) -> None:
    assert core.parse_instant(text) == instant_of(text)


@many
@given(numbers)
def test_numbers_are_the_same_instants(number: float) -> None:
    assert core.parse_instant(number) == instant_of(number)
    if abs(number) < 1e35:  # beyond, the core has the end of 128 bits
        assert core.number_ms(number) == str(number_ms(number))


@many
@given(st.integers(-(2**63), 2**63 - 1) | st.integers(MIN_MS - 10, MAX_MS + 10))
def test_instants_are_written_as_python_writes_them(ms: int) -> None:
    assert core.format_instant(ms).decode() == format_instant(ms)
