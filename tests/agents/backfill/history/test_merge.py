"""Several topic partitions in one order, whatever the fetches bring."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from agents.backfill.history.merge import Merge, Place, Source, places
from agents.evaluate.steps import Record
from agents.kafka.consumed import Consumed

PLACES = [Place("b", 0), Place("a", 1), Place("a", 0), Place("c", 0), Place("c", 0, 1)]
Log = dict[Place, list[Consumed]]


def log_of(timestamps: Sequence[Sequence[int]], gaps: int = 1) -> Log:
    return {
        tp: [
            Consumed(tp.topic, tp.partition, at * gaps + 100 * tp.run, ms, None, b"", [])
            for at, ms in enumerate(each)
        ]
        for tp, each in zip(PLACES, timestamps, strict=False)
    }


def merged(log: Log, ends: dict[Place, int], fetched: int, most: int) -> list[Record]:
    """All up to the ends, with fetches of so many records."""
    merge = Merge({tp: Source(100 * tp.run, ends[tp], 100 * tp.run) for tp in log})
    left = {tp: list(records) for tp, records in log.items()}
    given: list[Record] = []
    while not merge.is_at_end:
        run = merge.next_run(most)
        assert len(run) <= most
        assert len({(each.topic, each.partition) for each in run}) <= 1
        given += run
        if not run:
            for tp in merge.must_fetch:
                records, left[tp] = left[tp][:fetched], left[tp][fetched:]
                after = records[-1].offset + 1 if left[tp] else ends[tp] + 1
                merge.sources[tp].add(records, after)
    assert merge.remaining == 0
    assert merge.next_run(most) == ()
    return given


def expected(log: Log, ends: dict[Place, int]) -> list[Record]:
    """The record with the least key among the first ones, again and again."""
    left = {tp: [each for each in records if each.offset < ends[tp]] for tp, records in log.items()}
    found: list[Record] = []
    while any(left.values()):
        _, tp = min(((each[0].timestamp, *tp[:2], each[0].offset), tp) for tp, each in left.items() if each)
        found.append(left[tp].pop(0))
    return found


logs = st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=5)


@given(logs, st.data())
def test_the_order_is_that_of_the_first_records_left_and_not_that_of_the_fetches(
    timestamps: list[list[int]], data: st.DataObject
) -> None:
    log = log_of(timestamps, data.draw(st.integers(1, 3), label="gaps"))
    ends = {tp: data.draw(st.integers(0, 40), label=f"end of {tp}") + 100 * tp.run for tp in log}
    fetched, most = data.draw(st.integers(1, 5), label="fetched"), data.draw(st.integers(1, 5), label="most")
    assert merged(log, ends, fetched, most) == expected(log, ends)


@given(logs, st.integers(1, 5), st.integers(0, 30))
def test_what_goes_on_elsewhere_gives_the_same_order(
    timestamps: list[list[int]], most: int, until: int
) -> None:
    log = log_of(timestamps)
    ends = {tp: len(records) + 100 * tp.run for tp, records in log.items()}
    whole = merged(log, ends, 100, 100)
    merge = Merge({tp: Source(100 * tp.run, ends[tp], 100 * tp.run) for tp in log})
    for tp, source in merge.sources.items():
        source.add(log[tp], ends[tp])
    first: list[Record] = []
    while len(first) < until and (run := merge.next_run(most)):
        first += run
    again = Merge({tp: Source(each.position, each.end, each.position) for tp, each in merge.sources.items()})
    for tp, source in again.sources.items():
        source.add(log[tp][source.position - 100 * tp.run :], ends[tp])
    rest: list[Record] = []
    while run := again.next_run(100):
        rest += run
    assert first + rest == whole


def test_an_end_that_moves_lets_what_is_there_go_on_and_never_moves_back() -> None:
    log = log_of([[1, 2, 3]])
    place = PLACES[0]
    tp = TopicPartition(*place[:2])
    merge = Merge({place: Source(0, 1, 0)})
    merge.sources[place].add(log[place], 3)
    assert len(merge.next_run(10)) == 1
    assert merge.is_at_end
    assert merge.remaining == 0
    merge.extend({tp: 3})
    merge.extend({tp: 2})
    assert merge.remaining == 2
    assert len(merge.next_run(10)) == 2
    assert merge.is_at_end


def test_records_that_are_waiting_stay_in_front_of_those_that_come() -> None:
    log = log_of([[1, 2, 3, 4]])[PLACES[0]]
    merge = Merge({PLACES[0]: Source(0, 4, 0)})
    merge.sources[PLACES[0]].add(log[:2], 2)
    assert list(merge.next_run(1)) == log[:1]
    assert merge.sources[PLACES[0]].waiting == 1
    merge.sources[PLACES[0]].add(log[2:], 4)
    assert list(merge.next_run(10)) == log[1:]


def test_a_partition_of_the_table_takes_every_partition_of_a_topic_that_is_its_own_modulo_their_number() -> (
    None
):
    assert list(places(1, 3, {"t": 8, "s": 2})) == [
        TopicPartition("s", 1),
        TopicPartition("t", 1),
        TopicPartition("t", 4),
        TopicPartition("t", 7),
    ]
