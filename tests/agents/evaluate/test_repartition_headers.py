"""Headers that producers give to records on their way through the repartition topic, and to dead letters."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from agents.evaluate.lots import Repartitioned
from agents.evaluate.outputs import Outputs, Told
from agents.evaluate.steps import Limits, Step
from agents.kafka.placement import Place, partition_of
from rules.time.instants import format_instant
from tests.driver.driver import EVENTS, REPARTITION, Crash, Driver, Rec

T = 1_700_000_000_000
HOUR = 3_600_000
RECENT = '{"audiences": [{"id": "recent", "name": "Recent", "rule": {"event": "buy", "within": "1h"}}]}'
ANN = next(f"ann{number}" for number in range(100) if partition_of(f"ann{number}", 2) == 1)
BUY = {"user_id": ANN, "event": "buy"}
READ = ("source.topic", "source.partition", "source.offset", "source.accepted", "source.timestamp")


@pytest.mark.parametrize("value", [b"x", b"", b"-1", b"12", None])
def test_a_producer_may_give_the_headers_that_we_read_of_re_keyed_records(value: bytes | None) -> None:
    made = Driver(RECENT, partitions=2)
    headers: Any = [(name, value) for name in READ]
    made.pipe(BUY, T, partition=0, headers=headers)
    made.pipe(BUY, T + HOUR // 2, partition=0)
    made.advance(T + 5 * HOUR)
    assert made.dead == []
    out = format_instant(T + HOUR // 2 + HOUR)
    assert [(event, at) for event, _, at, _ in made.story(ANN)] == [
        ("enter", format_instant(T)),
        ("exit", out),
    ]
    row = made.parts[1].pipeline.profiles.read(ANN.encode())
    assert row is not None
    assert len(row.applied) == 1


@pytest.mark.parametrize("value", [b"x", b"", None])
def test_a_strange_acceptance_on_the_re_keyed_topic_is_a_dead_letter(value: bytes | None) -> None:
    made = Driver(RECENT, partitions=2)
    headers: Any = [("source.topic", b"events"), ("source.partition", b"0"), ("source.offset", b"7")]
    made.pipe(BUY, T, partition=1, topic=REPARTITION, headers=[*headers, ("source.accepted", value)])
    assert made.story(ANN) == []
    made.pipe(BUY, T, partition=1, topic=REPARTITION, headers=headers)
    assert len(made.story(ANN)) == 1


def test_a_record_without_a_timestamp_happens_now_whichever_way_it_goes() -> None:
    made = Driver(RECENT, partitions=2)
    for partition in (0, 1):
        made.track(ANN, "view", T, partition=partition)
    made.pipe(BUY, -1, partition=0)
    assert made.story(ANN) == [("enter", "recent", format_instant(T), "event")]


def test_the_smallest_form_of_a_re_keyed_record_says_all_that_is_read() -> None:
    """A topic that was made again and accepted has a name of its own for each offset."""
    outputs = Outputs(_any(None), _any(None), Told())
    record = Rec(EVENTS, 3, 77, -1, b"k", b"v", [("trace", b"x" * 1000)])
    step = Step(1, _any(None), _any(None), False, _any(None), [], [], [], [], accepted={EVENTS: 5})
    source = Repartitioned(step, ANN, record, (EVENTS, 3, 77))
    sent = 0, ANN.encode(), b"v", list(record.headers)
    ((timestamp, key, value, headers),) = outputs.smaller(source, sent, _any(MessageSizeTooLargeError()))
    copied = Rec(REPARTITION, 1, 0, timestamp or 0, key, value, _any(headers))
    place = Place(1, 2, REPARTITION)
    assert (place.origin(copied), place.accepted_ms(copied)) == ((EVENTS, 3, 77), 5)
    assert ("source.timestamp", b"-1") in headers


def test_a_kept_letter_may_have_a_header_without_a_value() -> None:
    """It is in the changelog until its topic has it, and is sent after a crash."""
    for writes in range(40):
        made = Driver(RECENT, limits=Limits(max_attributes_bytes=1000), behind_rows=0)
        headers: Any = [("empty", None), ("full", b"x")]
        set_ = {"type": "profile", "user_id": "bob", "set": {"a": "y" * 2000}}
        made.send(set_, T, headers=headers)
        made.send({"user_id": "bob", "event": "buy"}, T + 1)
        made.crash_after(writes)
        try:
            made.run()
        except Crash:
            made.restart(lose_store=writes % 2 == 0)
            made.run()
        made.crash_after(1000)
        assert made.codes() == ["attributes_too_large"], writes
        assert len(made.story("bob")) == 1


def _any(value: Any) -> Any:
    return value
