from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluate.dead_letters import repartition_headers
from agents.kafka.placement import Place, partition_of
from tests.driver.driver import EVENTS, REPARTITION, Rec

# From org.apache.kafka.common.utils.UtilsTest.testMurmur2.
MURMUR2 = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
}


@pytest.mark.parametrize("user_id", MURMUR2)
def test_a_user_is_where_kafkas_own_partitioner_puts_the_id(user_id: str) -> None:
    for partitions in (2, 7, 1000):
        assert partition_of(user_id, partitions) == (MURMUR2[user_id] & 0x7FFFFFFF) % partitions


@given(st.text(min_size=1), st.integers(1, 50))
def test_every_user_has_exactly_one_owner(user_id: str, partitions: int) -> None:
    owners = [each for each in range(partitions) if Place(each, partitions).owns(user_id)]
    assert owners == [partition_of(user_id, partitions)]


def test_a_re_keyed_record_tells_where_the_producer_wrote_it() -> None:
    place = Place(1, 4, REPARTITION)
    written = Rec(EVENTS, 3, 77, 5, b"k", b"v", [("trace", b"x"), ("source.offset", b"junk")])
    origin = place.origin(written)
    assert origin == (EVENTS, 3, 77)
    copied = Rec(REPARTITION, 1, 0, 5, b"ann", b"v", repartition_headers(written, origin))
    assert place.origin(copied) == origin
