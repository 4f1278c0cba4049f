"""Whatever the bytes: a format gives items or refuses, and each item can stand alone."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.formats.format import Format
from agents.formats.native import read_plain
from agents.formats.records import time_of
from agents.formats.refused import RecordRefused
from tests.agents.formats import test_cloudevents, test_mapping, test_segment, test_sensors
from tests.agents.formats.reading import Told, a_format
from tests.strategies.fuzzing import usual

FORMATS: dict[str, Format] = {
    "native": a_format("native"),
    "segment": a_format("segment"),
    "sensors": a_format("sensors"),
    "cloudevents": a_format("cloudevents"),
    "cloudevents of properties": a_format("cloudevents", "properties"),
    "cloudevents of segment": a_format("cloudevents", "segment"),
    "cloudevents of sensors": a_format("cloudevents", "sensors"),
    "cloudevents of mapping": a_format("cloudevents", "mapping", test_mapping.SHOP),
    "hits": a_format("mapping", mapping=test_mapping.HITS),
    "exports": a_format("mapping", mapping=test_mapping.EXPORT),
    "orders": a_format("mapping", mapping=test_mapping.SHOP),
}
GOOD: list[Any] = [
    *(test_segment.COMMON | call for call, _ in test_segment.CALLS.values()),
    *(test_sensors.COMMON | record for record, _ in test_sensors.RECORDS.values()),
    test_sensors.ITEM,
    test_cloudevents.EVENT | {"data": {"user_id": "u", "event": "e"}},
    test_mapping.HIT,
    test_mapping.EXPORTED,
    test_mapping.ORDER,
    {"user_id": "u", "event": "e"},
    {"type": "profile", "user_id": 7, "set": {"a": 1}, "add": {"n": 1}, "append": {"l": [1]}, "unset": ["x"]},
]
NAMES = sorted({name for each in GOOD for name in each} | {"batch", "data", "data_base64"})
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["\ud800", "", "u", "track", "profile", "profile_set", "1.0", "2024-01-01T00:00:00Z", "[]"]
    )
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner)
    ),
    max_leaves=12,
)


@st.composite
def bent(draw: st.DrawFn) -> Any:
    """A good value with some of its fields replaced or taken out, single or in a batch."""
    value = dict(draw(st.sampled_from(GOOD)))
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3)):
        if draw(st.booleans()):
            value[name] = draw(values)
        else:
            value.pop(name, None)
    made: Any = value
    for wrap in draw(st.lists(st.sampled_from(["list", "batch", "event"]), max_size=3)):
        if wrap == "list":
            made = [made] * draw(st.integers(0, 3))
        else:
            made = {"batch": [made]} if wrap == "batch" else test_cloudevents.EVENT | {"data": made}
    return made


headers = st.lists(
    st.tuples(
        st.sampled_from(
            ["ce_specversion", "ce_id", "ce_type", "ce_source", "content-type", "x-shopify-topic"]
        ),
        st.none()
        | st.binary(max_size=5)
        | st.sampled_from([b"1.0", b"application/json", b"application/cloudevents"]),
    ),
    max_size=6,
)
bodies = st.one_of(bent(), values).map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize("name", FORMATS)
@settings(
    max_examples=usual(120),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(bodies | st.binary(max_size=20) | st.none(), headers, st.none() | st.binary(max_size=5))
def test_no_bytes_raise(
    name: str, value: bytes | None, told: list[tuple[str, bytes | None]], key: bytes | None
) -> None:
    format, beside = FORMATS[name], Told(key, told)
    try:
        items = format.read(value, beside)
    except RecordRefused as refusal:
        msgspec.json.encode([refusal.code, refusal.stage, str(refusal)])
        return
    assert items
    for item in items:
        if isinstance(item.records, RecordRefused):
            msgspec.json.encode([item.records.code, item.records.stage, str(item.records)])
        else:
            for record in item.records:
                assert record.user_id.encode()
                msgspec.msgpack.encode(record)  # as a row and a re-keyed record keep it
                with suppress(RecordRefused):
                    time_of(record.time, 0)
        if len(items) > 1:
            _alone(format, item.value, beside)


def _alone(format: Format, value: bytes, beside: Told) -> None:
    """An item that stands alone is one item, good or bad."""
    with suppress(RecordRefused):
        assert len(format.read(value, beside)) == 1


@settings(max_examples=usual(200), deadline=None)
@given(bodies | st.binary(max_size=20))
def test_a_plain_event_says_what_the_long_way_says(value: bytes) -> None:
    plain = read_plain(value, 0, 10_000)
    if plain is not None:
        (item,) = FORMATS["native"].read(value, Told())
        assert not isinstance(item.records, RecordRefused)
        (record,) = item.records
        assert (record.user_id, record.event, record.id, record.time) == (
            plain.user_id, plain.event, plain.id, plain.time
        )  # fmt: skip
        assert (record.properties or {}) == (plain.properties or {})
