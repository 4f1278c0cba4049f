"""Raw fetches give what aiokafka's own reader gives, and leave the same positions."""

from __future__ import annotations

import gc
import tomllib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from sys import getrefcount
from typing import Any

import aiokafka
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.errors import CorruptRecordException
from hypothesis import given
from hypothesis import strategies as st

from agents.kafka.consumed import Consumed
from agents.kafka.raw.hooks import RawFetches, _Reader, use_raw_records
from agents.kafka.raw.records import RawRecords
from tests.agents.kafka.raw.logs import CRC, LOG_APPEND_TIME, Log, Row, batch, logs, sealed
from tests.agents.kafka.test_fetched import old

TP = TopicPartition("events", 3)
LARGE = 1 << 20
ROWS: list[Row] = [(number, b"k", b"v%d" % number, [("n", None)]) for number in range(10)]


def fetched(data: bytes, start: int = 0, aborted: Sequence[tuple[int, int]] = (), isolation: int = 1) -> Any:
    """A ``FetchResult`` of a consumer that stands at ``start``."""
    assignment: Any = Assignment([TP])
    assignment.state_value(TP).seek(start)
    records = fetcher.PartitionRecords(
        TP, fetcher.MemoryRecords(data), list(aborted), start, None, None, True, isolation
    )
    return fetcher.FetchResult(TP, assignment=assignment, partition_records=records, backoff=0)


def drained(result: Any, most: Sequence[int | None]) -> list[tuple[list[Consumed], int]]:
    """What ``getall`` gives until all is given, and the position after each call that gave some."""
    found: list[tuple[list[Consumed], int]] = []
    at = 0
    while result.has_more():
        records = list(result.getall(most[at % len(most)]))
        at += 1
        if records:
            found.append((records, result._assignment.state_value(TP).position))
    return [*found, ([], result._assignment.state_value(TP).position)]


def hooked(result: Any, raw: RawFetches) -> Any:
    result.getall = _Reader(result, raw).getall
    return result


@given(
    logs(),
    st.integers(0, 30),
    st.lists(st.none() | st.integers(1, 7), min_size=1),
    st.integers(0, 1),
    st.data(),
)
async def test_every_fetch_is_read_as_aiokafka_reads_it(
    core: Any, log: Log, start: int, most: list[int | None], isolation: int, data: st.DataObject
) -> None:
    cut = log.data[: len(log.data) - data.draw(st.integers(0, 40))]
    start = min(start, log.end)
    enough = data.draw(st.sampled_from([1, 200, LARGE]))

    def read(data: bytes, offset: int, aborted: Sequence[tuple[int, int]], at: int) -> Any:
        return core.Fetched(data, offset, aborted, at, enough)

    raw = RawFetches(lambda topic: True, read, core.UnusualFetch)  # type: ignore[arg-type]
    expected = drained(fetched(cut, start, log.aborted, isolation), most)
    found = drained(hooked(fetched(cut, start, log.aborted, isolation), raw), most)
    assert [record for records, _ in found for record in records] == [
        record for records, _ in expected for record in records
    ]
    assert found[-1] == expected[-1]
    if enough == LARGE:  # otherwise a call may give fewer than it was asked for
        assert [records for records, _ in found] == [records for records, _ in expected]


async def test_records_come_raw_and_the_position_moves_with_them(raw: RawFetches) -> None:
    log = Log()
    log.add(ROWS)
    log.add(ROWS, producer=5)
    log.close(5, b"\0\0\0\0")
    result = hooked(fetched(log.data, 4, log.aborted), raw)
    some, rest = result.getall(4), result.getall(4)
    assert isinstance(some, RawRecords)
    assert some.fetched is rest.fetched
    assert (some.topic, some.partition, some.first_offset, some.next_offset) == ("events", 3, 4, 8)
    assert (len(rest), rest.first_offset) == (2, 8)
    assert result._assignment.state_value(TP).position == 21
    assert not result.has_more()


async def test_nothing_is_given_of_a_partition_that_moved_or_was_sought(raw: RawFetches) -> None:
    for change in (lambda state: state.seek(3), lambda state: state.pause()):
        result = hooked(fetched(batch(0, ROWS)), raw)
        change(result._assignment.state_value(TP))
        assert result.getall() == []
        assert not result.has_more()


@pytest.mark.parametrize("enough", [1, LARGE])
async def test_what_is_unusual_is_read_by_aiokafka(core: Any, enough: int) -> None:
    """Old formats, and names that aren't UTF-8: also after batches that were read raw."""
    strange = bytearray(batch(20, [(7, b"k", b"v", [("nam", b"x")])]))
    at = strange.index(b"nam")
    strange[at : at + 3] = b"\xff\xfen"

    def read(data: bytes, offset: int, aborted: Sequence[tuple[int, int]], start: int) -> Any:
        return core.Fetched(data, offset, aborted, start, enough)

    raw = RawFetches(lambda topic: True, read, core.UnusualFetch)  # type: ignore[arg-type]
    for log in (old(0, 1, 17) + batch(1, ROWS), batch(0, ROWS) + sealed(strange) + batch(21, ROWS)):
        found, expected = hooked(fetched(log), raw), fetched(log)
        assert drained(found, [3])[-1] == drained(expected, [3])[-1]
        found, expected = hooked(fetched(log), raw), fetched(log)
        assert [each for some, _ in drained(found, [3]) for each in some] == [
            each for some, _ in drained(expected, [3]) for each in some
        ]


async def test_transactions_are_not_forgotten_where_aiokafka_reads_on(core: Any) -> None:
    log = Log()
    log.add(ROWS, producer=1)
    log.add(ROWS[:1], attributes=LOG_APPEND_TIME)
    broken = bytearray(batch(log.end, [(7, b"k", b"v", [("nam", b"x")])]))
    at = broken.index(b"nam")
    broken[at : at + 3] = b"\xff\xfen"
    log.data, log.end = log.data + sealed(broken), log.end + 1
    log.add(ROWS, producer=1)
    log.close(1, b"\0\0\0\0")
    log.add(ROWS[:2], producer=1)
    log.close(1, b"\0\0\0\x01")

    def read(data: bytes, offset: int, aborted: Sequence[tuple[int, int]], start: int) -> Any:
        return core.Fetched(data, offset, aborted, start, 1)

    raw = RawFetches(lambda topic: True, read, core.UnusualFetch)  # type: ignore[arg-type]
    found = drained(hooked(fetched(log.data, 0, log.aborted), raw), [None])
    assert [each.offset for some, _ in found for each in some] == [10, 11, 23, 24]


async def test_nothing_holds_the_bytes_of_a_fetch_when_its_records_are_gone(raw: RawFetches) -> None:
    """Without the collector of cycles, which runs late."""
    data = batch(0, ROWS)
    before = getrefcount(data)
    gc.disable()
    try:
        result = hooked(fetched(data), raw)
        some = result.getall(4)
        del result  # as after a seek, when some are left
        assert getrefcount(data) > before
        del some
        assert getrefcount(data) == before
    finally:
        gc.enable()


async def test_a_broken_checksum_is_told_by_aiokafka(raw: RawFetches) -> None:
    broken = bytearray(batch(0, ROWS))
    broken[CRC] ^= 1
    result = hooked(fetched(bytes(broken)), raw)
    with pytest.raises(CorruptRecordException, match="Invalid CRC"):
        result.getall()


async def test_results_of_other_topics_and_errors_stay_as_they_are(raw: RawFetches) -> None:
    class Source:
        _records: dict[Any, Any]

    async def fetch() -> bool:
        return True

    source: Any = Source()
    source._proc_fetch_request = fetch
    other = fetched(batch(0, ROWS))
    source._records = {TP: fetched(batch(0, ROWS)), TopicPartition("plain", 0): other}
    consumer: Any = Source()
    consumer._fetcher = source
    use_raw_records(consumer, raw)
    assert await source._proc_fetch_request()
    assert isinstance(source._records[TP].getall(), RawRecords)
    assert isinstance(other.getall(), list)


def test_aiokafka_is_the_version_whose_insides_are_known() -> None:
    """Another one: read again what ``agents.kafka.raw.hooks`` takes hold of, and pin it then."""
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())
    assert f"aiokafka=={version('aiokafka')}" in project["project"]["dependencies"]
    assert aiokafka.__version__ == "0.14.0"
