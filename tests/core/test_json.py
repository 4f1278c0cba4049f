"""JSON and msgpack of the native core against msgspec's."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agents.formats.json import bounded
from agents.formats.refused import RecordRefused
from tests.core.json_texts import any_bytes
from tests.core.parts import core, many

json, msgpack = msgspec.json, msgspec.msgpack
FLOAT_END = 2**1024 - 2**970  # from here on whole numbers have no float

numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=18) | st.dictionaries(texts, inner, max_size=18),
    max_leaves=30,
)
states = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | texts
    | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=18) | st.dictionaries(st.integers(-9, 9) | texts, inner),
    max_leaves=30,
)


def has_no_float(value: Any) -> bool:
    """Whether a whole number in it is beyond every float."""
    if isinstance(value, dict):
        return any(map(has_no_float, value.values()))
    if isinstance(value, list):
        return any(map(has_no_float, value))
    return type(value) is int and abs(value) >= FLOAT_END


@many
@given(any_bytes)
def test_json_is_read_as_msgspec_reads_it_or_not_at_all(value: bytes) -> None:
    read = core.json_again(value)
    try:
        found = [json.decode(value)]
        unread = has_no_float(found)
        bounded(found, 0)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecordRefused):
        assert read is None
        return
    if unread:
        assert read is None
        return
    assert read == json.encode(found[0])
    assert core.json_to_msgpack(value) == msgpack.encode(found[0])


@many
@given(values)
def test_json_is_written_as_msgspec_writes_it(value: Any) -> None:
    assert core.value_to_json(msgpack.encode(value)) == json.encode(value)
    assert core.value_again(msgpack.encode(value)) == msgpack.encode(value)


@many
@given(st.lists(st.integers(0, 2**64 - 1), min_size=20, max_size=20))
def test_floats_are_written_as_msgspec_writes_them(bits: list[int]) -> None:
    value = [struct.unpack("<d", each.to_bytes(8, "little"))[0] for each in bits]
    assert core.value_to_json(msgpack.encode(value)) == json.encode(value)


@many
@given(st.lists(st.floats(1e-7, 1e18), min_size=20, max_size=20))
def test_floats_of_everyday_size_are_written_as_msgspec_writes_them(value: list[float]) -> None:
    cents = [round(each, 2) for each in value]
    for each in (value, cents):
        assert core.value_to_json(msgpack.encode(each)) == json.encode(each)


@many
@given(states)
def test_states_are_read_and_written_as_msgspec_does(value: Any) -> None:
    assert core.stored_again(msgpack.encode(value)) == msgpack.encode(value)


@many
@given(states.map(msgpack.encode), st.data())
def test_msgpack_that_is_bent_is_read_as_msgspec_reads_it_or_not_at_all(
    value: bytes, data: st.DataObject
) -> None:
    bent = bytearray(value)
    at = data.draw(st.integers(0, len(bent) - 1))
    bent[at] = data.draw(st.integers(0, 255))
    read = core.value_again(bytes(bent))
    if read is not None:
        assert msgpack.encode(msgpack.decode(bytes(bent), type=Any)) == read
