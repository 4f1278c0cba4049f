"""Records as the native core reads them against Python's readers: the same, or left to Python."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agents.formats.native import Native, read_plain
from agents.formats.records import time_of
from agents.formats.refused import RecordRefused
from rules.time.instants import MAX_MS
from tests.agents.formats.reading import Told
from tests.core.json_texts import bent, right_scalars, scalars, values
from tests.core.parts import core, many

MAX_BYTES = 5000
PLAIN_NAMES = ["user_id", "event", "id", "time", "type", "project", "properties", "identities"]
NAMES = [*PLAIN_NAMES, "set", "set_once", "unset", "add", "append", "unset_all", "x"]

names = st.sampled_from(["a", "b", "", "x" * 513, "é" * 512]) | st.text(max_size=4)
leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4)
usual_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
usual_numbers = st.integers(-(2**65), 2**65) | st.floats(allow_nan=False, allow_infinity=False)
usual_leaves = st.none() | st.booleans() | usual_numbers | usual_names
usual_values = st.recursive(
    usual_leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(usual_names, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(usual_names, usual_values, max_size=3)
ids = usual_names.filter(lambda text: "\0" not in text) | st.integers(-(2**63), 2**63 - 1)
times = st.sampled_from(
    ["2024-05-01T10:20:30.123Z", "2024-05-01", "1990-01-01 00:00:00+02:00", None, 0, 1.5, 10**12]
)
COMMON: dict[str, Any] = {
    "id": st.none() | ids,
    "project": st.sampled_from(["default", "p_1"]),
    "time": times,
    "identities": st.none() | st.just([]) | st.dictionaries(usual_names, ids, max_size=2),
    "x": usual_values,
}
events = st.fixed_dictionaries(
    {"user_id": ids, "event": usual_names},
    optional={"type": st.just("track"), "properties": st.none() | st.just([]) | objects, **COMMON},
)
updates = st.fixed_dictionaries(
    {"user_id": ids, "type": st.just("profile"), "unset_all": st.booleans(), "set": objects.filter(bool)},
    optional={
        "set_once": st.none() | objects,
        "unset": st.none() | st.lists(usual_names, max_size=2),
        "add": st.just([]) | st.dictionaries(usual_names, usual_numbers, max_size=2),
        "append": st.dictionaries(usual_names, st.lists(usual_values, max_size=3), max_size=2),
        **COMMON,
    },
)


def dumped(value: Any, ascii_only: bool = False) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode()


usual = st.builds(dumped, events | updates, st.booleans())


@st.composite
def unusual(draw: st.DrawFn) -> bytes:
    """Objects of a record's fields, in any order, with whatever in them, and some of them twice."""
    fields = [
        ('"user_id"', '"u"'),
        *draw(st.sampled_from([[('"event"', '"e"')], [('"type"', '"profile"')], []])),
    ]
    some = st.sampled_from(
        [
            '"a"',
            "5",
            "-0",
            "1.0",
            "[]",
            "{}",
            "null",
            "true",
            '{"a":1}',
            '["a"]',
            '{"a":[1]}',
            '{"a":"b"}',
            '"profile"',
        ]
    )
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=4)):
        escaped = draw(st.booleans()) and draw(st.booleans())
        written = f'"\\u{ord(name[0]):04x}{name[1:]}"' if escaped else f'"{name}"'
        fields.append((written, draw(some | scalars | right_scalars | values(scalars))))
    fields = draw(st.permutations(fields))
    return ("{" + ",".join(f"{name}:{value}" for name, value in fields) + "}").encode(
        "utf-8", "surrogatepass"
    )


def as_python_reads(value: bytes, timestamp_ms: int) -> bytes | None:
    """The record as the worker takes it; None: it is refused, or holds none or several."""
    record: Any = read_plain(value, timestamp_ms, MAX_BYTES)
    try:
        if record is None:
            if timestamp_ms > MAX_MS or len(value) > MAX_BYTES or value.lstrip()[:1] == b"[":
                return None
            (item,) = Native().read(value, Told(None, ()))
            if isinstance(item.records, RecordRefused):
                return None
            (record,) = item.records
        time_ms = time_of(record.time, timestamp_ms)
    except RecordRefused:
        return None
    return packed(record, None if record.time is None else time_ms)


def packed(record: Any, time_ms: int | None) -> bytes:
    """What ``Partition.replace`` takes. Of an update without its event, of an event without changes."""
    is_event = record.type == "track"
    changes = ("set", "set_once", "unset", "add", "append")
    changed = [None if is_event else getattr(record, name, None) for name in changes]
    empty: list[Any] = [{}, {}, [], {}, {}]
    return msgspec.msgpack.encode(
        [
            *(record.user_id, record.project, record.type, record.id, record.event if is_event else None),
            *(time_ms, (is_event and record.properties) or {}, record.identities or {}),
            *(each or nothing for each, nothing in zip(changed, empty, strict=True)),
            not is_event and record.unset_all,
        ]
    )


@many
@given(usual, st.sampled_from([-1, 0, 1_714_554_000_123]))
def test_a_usual_record_is_read_as_python_reads_it(value: bytes, timestamp_ms: int) -> None:
    read = core.read_record(value, timestamp_ms, MAX_BYTES)
    assert read is not None
    assert read == as_python_reads(value, timestamp_ms)
    assert core.replaced_again(read, timestamp_ms) == read


@many
@given(unusual() | bent(usual) | bent(unusual()), st.sampled_from([0, MAX_MS, MAX_MS + 1]))
def test_whatever_is_read_python_reads_the_same_way(value: bytes, timestamp_ms: int) -> None:
    read = core.read_record(value, timestamp_ms, MAX_BYTES)
    if read is not None:
        assert read == as_python_reads(value, timestamp_ms)


def test_a_value_that_is_too_large_is_left_to_python() -> None:
    value = b'{"user_id":"u","event":"e"}'
    assert core.read_record(value, 0, len(value)) is not None
    assert core.read_record(value, 0, len(value) - 1) is None
