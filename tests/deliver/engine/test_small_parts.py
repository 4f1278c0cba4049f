"""Small parts of delivery, each by itself."""

from __future__ import annotations

import time
from random import Random

from agents.deliver.consumer.progress import Progress
from agents.deliver.contract.sink import lane_of
from agents.deliver.definitions.destination import RetryPolicy
from agents.deliver.engine.lanes import Lane
from agents.deliver.engine.retry import pause_s
from agents.sinks.webhook.sink import retry_after_s
from tests.stage.delivery import transition
from tests.stage.delivery_engine import message


def test_pauses_double_with_jitter_up_to_the_most_and_never_undercut_what_was_asked_for() -> None:
    retry, random = RetryPolicy(first_ms=1_000, most_ms=60_000), Random(7)
    for failures, longest in ((1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (10_000, 60.0)):
        found = [pause_s(retry, failures, random) for _ in range(200)]
        assert longest / 2 <= min(found) < max(found) <= longest
        assert max(found) - min(found) > longest / 4
    assert pause_s(retry, 1, random, least_s=90.0) == 90.0


def test_retry_after_is_seconds_or_a_date() -> None:
    now = 1_790_000_000.0
    assert retry_after_s("12", now) == 12.0
    assert retry_after_s("Mon, 21 Sep 2026 14:14:20 GMT", now) == 60.0
    assert retry_after_s("Mon, 21 Sep 2020 14:14:20 GMT", now) == 0.0
    assert retry_after_s("99999999", now) == 86_400.0
    assert retry_after_s("soon", now) is None
    assert retry_after_s(None, now) is None


def test_a_user_has_one_lane_and_lanes_are_used_alike() -> None:
    lanes = [lane_of(f"user-{number}", 16) for number in range(16_000)]
    assert lanes == [lane_of(f"user-{number}", 16) for number in range(16_000)]
    assert all(800 < lanes.count(lane) < 1_200 for lane in range(16))
    assert lane_of("user123", 32) == 23


def test_offsets_are_committed_up_to_the_first_that_is_not_done() -> None:
    progress = Progress(5)
    assert progress.committable_offset() == 5
    first, second = message(transition("u1", 1), 7), message(transition("u2", 1), 9)
    progress.add(first)
    progress.add(second)
    progress.reach(12)
    assert progress.committable_offset() == 7
    second.done = True
    assert progress.committable_offset() == 7
    assert progress.span == 2
    first.done = True
    assert progress.committable_offset() == 12
    progress.hold()
    assert progress.committable_offset() is None
    progress.hold(15)
    assert progress.committable_offset() is None
    progress.reach(15)
    assert progress.committable_offset() == 15


async def test_a_parked_user_waits_with_all_behind_it_while_others_go_on() -> None:
    lane = Lane(0)
    a1, a2, b1, a3 = (
        message(transition(user, seq)) for user, seq in (("a", 1), ("a", 2), ("b", 1), ("a", 3))
    )
    for each in (a1, a2, b1):
        lane.add(each)
    assert lane.take(0.0, 1) == [a1]
    lane.park([a1], due_s=10.0)
    assert lane.take(1.0, 5) == [b1]
    lane.add(a3)
    assert lane.take(2.0, 5) == []
    assert lane.next_s() == 10.0
    assert lane.take(10.0, 2) == [a1, a2]
    lane.park([a2], due_s=20.0)
    lane.pause(30.0)
    assert lane.take(25.0, 5) == []
    lane.revive(26.0)
    assert lane.take(26.0, 5) == [a2, a3]
    assert lane.next_s() is None


async def test_a_rate_is_held_from_the_first_on() -> None:
    from agents.deliver.engine.retry import Pace

    pace, started = Pace(200, time.monotonic), time.monotonic()
    for _ in range(60):
        await pace.take(1)
    assert 0.15 < time.monotonic() - started < 20.0
