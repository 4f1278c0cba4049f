"""What is skipped unread: nothing that concerns the audiences, and most of the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.backfill.replay.skip import Sieve, Skipped, Taken, matters_to
from agents.evaluate.partition.intake import decode_records
from agents.evaluate.steps import Limits, Record
from agents.formats.registry import PLAIN
from agents.kafka.consumed import Consumed
from agents.kafka.placement import Place
from rules.compile.rule_set import EMPTY, RuleSet
from tests.stage.compare import rules_of

PLACE = Place(0, 1)
NAMES = ["view", "buy now", 'say "hi"', "back\\slash", "Kauf für 5 €", "a.b*c", "tab\there", "/path"]


def rules(*names: str, attribute: bool = False) -> RuleSet:
    conditions = [json.dumps({"event": name}) for name in names]
    if attribute:
        conditions.append('{"attribute": "plan", "eq": "gold"}')
    given = [f"{{id: a{at}, name: A{at}, rule: {each}}}" for at, each in enumerate(conditions)]
    return rules_of(f"audiences: [{', '.join(given)}]") if given else EMPTY


def record(value: bytes | None, offset: int = 0, timestamp: int = 5) -> Consumed:
    return Consumed("t", 0, offset, timestamp, None, value, [])


def native(event: str, **more: object) -> bytes:
    return json.dumps({"user_id": "u", "event": event, **more}).encode()


def decoded(value: bytes) -> list[tuple[str, str | None]]:
    """(type, event) of all that a value says."""
    read, _ = decode_records(PLACE, [record(value)], Limits())
    return [(each.type, each.event) for _, each, _, _ in read if each is not None]


any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
bodies = st.fixed_dictionaries(
    {"user_id": st.just("u")},
    optional={
        "event": st.sampled_from(NAMES) | st.text(max_size=6),
        "type": st.sampled_from(["track", "profile", "other"]),
        "properties": st.dictionaries(st.sampled_from(["event", "type", "x"]), any_json, max_size=2),
        "set": st.dictionaries(st.sampled_from(["plan", "x"]), any_json, min_size=1, max_size=2),
    },
)
values = st.builds(
    lambda body, ascii_only, indent, separators, before: (
        before + json.dumps(body, ensure_ascii=ascii_only, indent=indent, separators=separators)
    ).encode(errors="surrogatepass"),
    bodies | st.lists(bodies | st.lists(bodies, max_size=2), max_size=3),
    st.booleans(),
    st.sampled_from([None, 0, 2, "\t", "\r"]),
    st.sampled_from([(", ", ": "), (",", ":"), (",", "\r\n\t : \n")]),
    st.sampled_from(["", " ", "\n"]),
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(values, st.lists(st.sampled_from(NAMES), max_size=4, unique=True), st.booleans())
def test_what_is_skipped_has_no_event_that_is_watched_and_changes_no_attribute_that_is_read(
    value: bytes, names: list[str], attribute: bool
) -> None:
    matters = matters_to(rules(*names, attribute=attribute))
    assert matters is not None
    if not matters(value):
        for kind, event in decoded(value):
            assert event not in names or kind != "track"
            assert not (attribute and kind == "profile")


@pytest.mark.parametrize("name", NAMES)
def test_an_event_that_is_watched_is_never_skipped(name: str) -> None:
    matters = matters_to(rules(name))
    assert matters is not None
    assert matters(native(name))
    assert matters(json.dumps({"event": name}, ensure_ascii=False).encode())
    assert matters(native("other", x="\\"))
    assert not matters(native("other", x=name.encode().hex()))


def test_other_events_and_updates_that_nobody_reads_are_skipped() -> None:
    matters = matters_to(rules("view"))
    assert matters is not None
    profile = b'{"user_id": "u", "type" : "profile", "set": {"plan": "gold"}}'
    assert [
        matters(each) for each in (native("buy"), native("viewer"), native("re:view"), profile, None)
    ] == [False] * 5
    reading = matters_to(rules("view", attribute=True))
    assert reading is not None
    assert reading(profile)
    assert not reading(native("buy", x="profile"))


def test_any_event_matters_where_a_rule_takes_any() -> None:
    assert matters_to(rules("view", "*")) is None
    assert [*Sieve(rules("*"), {}, "r").sift([record(b"x")])] == [Taken([record(b"x")])]


def test_records_of_other_formats_and_repartitioned_ones_among_them_are_never_skipped() -> None:
    sieve = Sieve(rules("view"), {"s": PLAIN["segment"], "n": PLAIN["native"]}, "r")
    assert [sieve.matters(topic) is None for topic in ("s", "r", "n", "t")] == [True, True, False, False]
    alone = Sieve(rules("view"), {"n": PLAIN["native"]}, "r")
    assert [alone.matters(topic) is None for topic in ("n", "r")] == [False, False]


def sifted(records: Sequence[Record], sieve: Sieve) -> tuple[list[tuple[int, int]], int, int]:
    """(offset, stream time at it) of each record that is taken; the last position; the last stream time."""
    found: list[tuple[int, int]] = []
    position, now_ms = -1, -1
    for part in sieve.sift(records):
        if isinstance(part, Skipped):
            assert position < part.last_offset
            position, now_ms = part.last_offset, max(now_ms, part.timestamp_ms)
            continue
        for each in part.records:
            assert each.offset > position
            now_ms = max(now_ms, each.timestamp)
            found.append((each.offset, now_ms))
            position = each.offset
    return found, position, now_ms


@given(st.lists(st.tuples(st.booleans(), st.integers(-1, 5)), min_size=1, max_size=20))
def test_what_is_taken_finds_the_stream_time_that_it_would_have_found_among_all(
    given: list[tuple[bool, int]],
) -> None:
    records = [record(native("view" if watched else "buy"), at, ms) for at, (watched, ms) in enumerate(given)]
    expected, now_ms = [], -1
    for each, (watched, _) in zip(records, given, strict=True):
        now_ms = max(now_ms, each.timestamp)
        if watched:
            expected.append((each.offset, now_ms))
    assert sifted(records, Sieve(rules("view"), {}, "r")) == (expected, len(given) - 1, now_ms)


def test_records_in_order_of_time_are_taken_together() -> None:
    records = [record(native("view" if at % 3 else "buy"), at, at) for at in range(30)]
    taken, skipped = Sieve(rules("view"), {}, "r").sift([*records, record(native("buy"), 30, 99)])
    assert isinstance(taken, Taken)
    assert len(taken.records) == 20
    assert skipped == Skipped("t", 0, 30, 99)


def test_a_record_is_judged_within_some_microseconds() -> None:
    matters = matters_to(rules("purchase", "add_to_cart", "checkout"))
    assert matters is not None
    value = native("page_view", id="01JABCDEFGH", properties={f"p{at}": at for at in range(13)})
    assert 190 < len(value) < 240

    def seconds() -> float:
        begun = time.perf_counter()
        for _ in range(1000):
            matters(value)
        return time.perf_counter() - begun

    # Under 1 µs on a quiet machine (docs/benchmarks.md); a busy one takes longer.
    assert min(seconds() for _ in range(20)) / 1000 < 5e-6
