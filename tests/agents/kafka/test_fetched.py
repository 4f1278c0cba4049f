"""Fetches as brokers may give them, read by aiokafka's own reader as our processes have it."""

from __future__ import annotations

from struct import pack_into
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from agents.kafka.broker import Broker
from agents.kafka.clients import client_options
from agents.kafka.consumed import Consumed, use_light_records

NAME = "a name that isn't UTF-8"
BYTES = b"\xff\xfea\xfc".ljust(len(NAME))
ABORT = bytes(4)
SHOWN = "\\xff\\xfea\\xfc"


@pytest.fixture(autouse=True)
def _as_in_our_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher.PartitionRecords, "_consumer_record", None)
    use_light_records()
    client_options(Broker("nowhere:9092"))


def batch(offset: int, *names: str, producer: int = -1, abort: bool = False) -> bytes:
    """Records with one header each."""
    builder: Any = DefaultRecordBatchBuilder(2, 0, producer >= 0, producer, 0, 0, 10_000)
    for number, name in enumerate(names):
        builder.append(number, 5, b"k", b"v", [(name, b"x")])
    if abort:
        builder.append(0, 5, ABORT, b"v", [])
    whole = bytearray(bytes(builder.build()).replace(NAME.encode(), BYTES))
    pack_into(">q", whole, 0, offset)
    if abort:
        whole[22] |= 0x20
    pack_into(">I", whole, 17, calc_crc32c(bytes(whole[21:])))
    return bytes(whole)


def old(offset: int, magic: int, timestamp: int | None) -> bytes:
    builder: Any = LegacyRecordBatchBuilder(magic, 0, 10_000)
    builder.append(offset, timestamp, b"k", b"v")
    return bytes(builder.build())


def read(data: bytes, start: int = 0, aborted: tuple[tuple[int, int], ...] = ()) -> list[Consumed]:
    place, records = TopicPartition("events", 0), fetcher.MemoryRecords(data)
    return list(fetcher.PartitionRecords(place, records, list(aborted), start, None, None, True, 1))


def test_names_of_headers_that_are_not_utf_8_stop_nothing() -> None:
    data = batch(3, "a", "b") + batch(5, "c", NAME, "d") + batch(20, NAME) + batch(30, "e")
    found = read(data, start=4)
    assert [(each.offset, each.headers[0][0].rstrip()) for each in found] == [
        (4, "b"),
        (5, "c"),
        (6, SHOWN),
        (7, "d"),
        (20, SHOWN),
        (30, "e"),
    ]


def test_what_was_read_of_transactions_holds_when_a_fetch_is_read_on_in_another_way() -> None:
    """Producer 7 aborts twice; the checkpoint of the first time must not be heard again."""
    data = (
        batch(0, "a", producer=7)
        + batch(1, producer=7, abort=True)
        + batch(2, "b", producer=7)
        + batch(3, "c", NAME)
        + batch(5, "d", producer=7)
        + batch(6, producer=7, abort=True)
        + batch(7, "e", producer=7)
    )
    found = read(data, aborted=((7, 0), (7, 2)))
    assert [each.offset for each in found] == [3, 4, 7]


def test_batches_of_all_formats_may_come_in_one_fetch() -> None:
    data = old(0, 0, None) + old(1, 1, 17) + batch(2, "a", NAME) + old(4, 1, 18) + batch(5, "b")
    found = read(data + b"the rest is cut off")
    assert [(each.offset, each.timestamp) for each in found] == [
        (0, -1),
        (1, 17),
        (2, 5),
        (3, 5),
        (4, 18),
        (5, 5),
    ]


def test_a_record_that_is_cut_off_is_left_for_the_next_fetch() -> None:
    data = batch(0, "a") + batch(1, "b")
    for length in range(len(data)):
        assert len(read(data[:length])) == (length >= len(data) // 2)
