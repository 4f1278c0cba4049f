"""The forms of a dead letter, from the record as it was down to its place alone; how letters are logged."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluate.dead_letters import OURS, LetterLog, dead_letter_headers, smaller_letters
from agents.evaluate.lots import size_of
from agents.evaluate.steps import DeadLetter
from agents.kafka.consumed import Consumed
from agents.kafka.placement import OriginInvalid, Place
from agents.restore.foreign_records import foreign
from app.shown_bytes import safe, shown
from rules.state.row import Row
from tables.codec import RowUnreadable, encode_row
from tests.driver.driver import EVENTS, REPARTITION, Driver, Rec

T = 1_700_000_000_000
LEAST_BYTES = 600


@given(
    st.none() | st.binary(max_size=3000),
    st.none() | st.binary(max_size=3000),
    st.lists(
        st.tuples(st.text(max_size=50) | st.sampled_from(sorted(OURS)), st.binary(max_size=500)), max_size=5
    ),
    st.text(max_size=3000),
)
def test_each_form_says_why_and_from_where_and_the_last_is_small(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]], message: str
) -> None:
    letter = DeadLetter(
        Consumed("t" * 200, 3, 7, T, key, value, headers), ("t" * 200, 3, 7), "code", message, "s"
    )
    whole = dead_letter_headers(letter)
    assert [name for name, _ in whole if name in OURS] == [name for name, _ in whole[-7:]]
    sizes = []
    for form_key, form_value, form_headers in smaller_letters(letter):
        named = dict(form_headers)
        assert named["error.code"] == b"code"
        assert (named["source.topic"], named["source.partition"], named["source.offset"]) == (
            b"t" * 200,
            b"3",
            b"7",
        )
        if value is not None and form_value is None and len(named) > 4:
            assert named["error.value_bytes"] == str(len(value)).encode()
        assert form_key in (key, b"")
        sizes.append(size_of((None, form_key, form_value, form_headers)))
    assert sizes[-1] < LEAST_BYTES
    assert len(sizes) <= 4


async def test_the_first_letter_of_a_reason_is_logged_and_the_others_are_counted() -> None:
    log = LetterLog(seconds=0.05)
    with structlog.testing.capture_logs() as logged:
        for number in range(5):
            log.note("not_json", ("events", 1, number), "bad", "events.dlq")
        log.note("too_large", ("events", 1, 9), "large", "events.dlq")
        await asyncio.sleep(0.2)
        log.note("not_json", ("events", 1, 10), "bad", "events.dlq")
        log.note("not_json", ("events", 1, 11), "bad", "events.dlq")
        log.close()
    told = [(each["event"], each["code"], each.get("offset"), each.get("more")) for each in logged]
    assert told == [
        ("dead_letter", "not_json", 0, None),
        ("dead_letter", "too_large", 9, None),
        ("dead_letters_more", "not_json", None, 4),
        ("dead_letter", "not_json", 10, None),
        ("dead_letters_more", "not_json", None, 1),
    ]


ORIGIN = [("source.topic", EVENTS.encode()), ("source.partition", b"0"), ("source.offset", b"5")]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ORIGIN[1:],
        ORIGIN[:2],
        [*ORIGIN, ("source.topic", b"elsewhere")],
        [*ORIGIN, ("source.topic", b"\xff")],
        [*ORIGIN, ("source.partition", b"4")],
        [*ORIGIN, ("source.partition", b"-1")],
        [*ORIGIN, ("source.offset", b"-1")],
        [*ORIGIN, ("source.offset", b"five")],
        [*ORIGIN, ("source.offset", b"9" * 25)],
        [*ORIGIN, ("source.offset", None)],
    ],
)
def test_an_origin_that_no_worker_wrote_is_refused(headers: list[tuple[str, bytes]]) -> None:
    place = Place(0, 4, REPARTITION, {EVENTS: 4})
    assert place.origin(Rec(REPARTITION, 0, 9, T, b"k", b"v", ORIGIN)) == (EVENTS, 0, 5)
    with pytest.raises(OriginInvalid):
        place.origin(Rec(REPARTITION, 0, 9, T, b"k", b"v", headers))


def test_a_re_keyed_record_without_an_origin_is_a_dead_letter_of_its_own_topic() -> None:
    driver = Driver("{id: a, name: A, rule: {event: view}}")
    driver.send({"user_id": "u", "event": "view"}, T, topic=REPARTITION)
    driver.send(b"not json", T, topic=REPARTITION)
    driver.run()
    assert [(each.code, each.origin) for each in driver.dead] == [
        ("rekeyed_origin", (REPARTITION, 0, 0)),
        ("rekeyed_origin", (REPARTITION, 0, 1)),
    ]
    assert driver.transitions == []


def test_a_row_of_a_newer_program_is_not_taken_for_a_foreign_record() -> None:
    def record(key: bytes | None, value: bytes | None) -> Consumed:
        return Consumed("changelog", 0, 0, T, key, value, [])

    row = encode_row(Row(now_ms=T))
    assert foreign(record(b"u", row)) is None
    assert foreign(record(b"u", None)) is None
    for key, value in (
        (None, row),
        (b"\xff", row),
        (b"u", b"junk"),
        (b"u", b""),
        (b"u", b"\x05junk"),
        (b"\0\0marker", b"x"),
    ):
        assert foreign(record(key, value)) is not None
    with pytest.raises(RowUnreadable):
        foreign(record(b"u", b"\x03" + row[1:]))


@given(st.binary(max_size=300), st.integers(1, 50))
def test_nothing_that_a_terminal_obeys_is_shown(content: bytes, most: int) -> None:
    assert shown(content, most).isprintable()
    assert safe(content.decode("latin-1")).isprintable()


def test_bytes_are_shown_as_text_where_they_are_some() -> None:
    assert shown(None, 10) == "none"
    assert shown("né\n".encode(), 10) == "né\\n"
    assert shown(b"\xff\x00", 10) == "0xff00"
    assert shown(b"a" * 100, 10) == "aaaaaaaaaa... (100 bytes)"
    assert shown("漢".encode() * 100, 10) == "漢" * 10 + "... (300 bytes)"
