"""Which notices there are at which moment."""

from __future__ import annotations

from agents.notices.moments import Life, Moment, notices_of
from agents.notices.notes import parse_key
from agents.notices.notice import CODES, NoticeKey
from tests.agents.notices.known import DAILY, DAY_MS, FANS, NOW_MS, Fed

STALLED_MS = 600_000
MIDNIGHT_MS = NOW_MS - 7_200_000
COMPUTED, READY = "BATCH_AUDIENCE_COMPUTE_SUCCESS", "BATCH_AUDIENCE_QUERY_READY"
FAILED, UNSYNCED = "BATCH_AUDIENCE_COMPUTE_FAILED", "BATCH_AUDIENCE_SYNC_FAILED"


def told(fed: Fed, now_ms: int = NOW_MS + 1000, from_ms: int = 0) -> list[tuple[str, int | None, int | None]]:
    """Code, version and compute instant of each."""
    (versions,) = fed.audiences.versions.values()
    life = Life.of(versions)
    if life is None:
        return []
    found = notices_of(life, fed.progress, Moment(2, now_ms, STALLED_MS), from_ms)
    return [(each.key.code, each.key.version, each.key.instant_ms) for each in found]


def test_a_realtime_audience_is_ready_once_every_partition_is() -> None:
    fed = Fed()
    fed.publish(FANS)
    assert told(fed) == []
    fed.tell("fans", 1, "ready", "cut")
    assert told(fed) == []
    fed.tell("fans", 1, None, "ready", at_ms=NOW_MS + 5)
    assert told(fed) == [("REALTIME_AUDIENCE_QUERY_READY", 1, None)]
    assert told(fed, from_ms=NOW_MS + 5) == [("REALTIME_AUDIENCE_QUERY_READY", 1, None)]
    assert told(fed, from_ms=NOW_MS + 6) == []  # it was so before anybody asked for notices


def test_each_version_has_notices_of_its_own_and_a_deleted_audience_has_none() -> None:
    fed = Fed()
    fed.publish(FANS)
    fed.tell("fans", 1, "ready", "ready")
    fed.publish(FANS.replace("view", "buy"), version=2)
    fed.tell("fans", 2, "ready", "ready")
    assert [each[1] for each in told(fed)] == [1, 2]
    fed.publish(FANS, version=3, deleted=True)
    assert told(fed) == []


def test_what_fails_stalls_or_is_never_begun_is_told_and_what_is_held_is_not() -> None:
    failed = [("REALTIME_AUDIENCE_COMPUTE_FAILED", 1, None)]
    fed = Fed()
    fed.publish(FANS)
    assert told(fed, NOW_MS + STALLED_MS - 1) == []
    assert told(fed, NOW_MS + STALLED_MS) == failed
    fed.tell("fans", 1, "ready", "replaying", at_ms=NOW_MS + 1000)
    assert told(fed, NOW_MS + STALLED_MS) == []
    assert told(fed, NOW_MS + STALLED_MS + 1000) == failed
    fed.tell("fans", 1, None, "held", at_ms=NOW_MS + 1000)
    assert told(fed, NOW_MS + 9 * STALLED_MS) == []
    fed.tell("fans", 1, None, "failed", at_ms=NOW_MS + 2000, reason="the history is gone")
    assert told(fed, NOW_MS + 3000) == failed
    fed.publish(FANS.replace("view", "buy"), version=2, created_ms=NOW_MS + 4000)
    assert told(fed, NOW_MS + 5000) == []  # nobody waits for an older version


def test_a_new_batch_audience_is_computed_as_of_its_latest_instant_and_then_ready() -> None:
    fed = Fed()
    fed.publish(DAILY)
    fed.tell("daily", 1, "cut", "replaying")
    assert told(fed) == []
    assert told(fed, NOW_MS + STALLED_MS) == [(FAILED, 1, MIDNIGHT_MS)]
    fed.tell("daily", 1, None, "cut")
    assert told(fed) == [(COMPUTED, 1, MIDNIGHT_MS)]
    assert told(fed, NOW_MS + STALLED_MS) == [(COMPUTED, 1, MIDNIGHT_MS), (UNSYNCED, 1, MIDNIGHT_MS)]
    fed.tell("daily", 1, "ready", "ready")
    assert told(fed) == [(COMPUTED, 1, MIDNIGHT_MS), (READY, 1, MIDNIGHT_MS)]


def test_each_later_instant_is_told_when_all_partitions_have_it_and_fails_when_one_hasnt() -> None:
    fed = Fed()
    fed.publish(DAILY)
    fed.tell("daily", 1, "ready", "ready", computed_ms=MIDNIGHT_MS)
    first, second = MIDNIGHT_MS + DAY_MS, MIDNIGHT_MS + 2 * DAY_MS

    def later(now_ms: int, from_ms: int = NOW_MS) -> list[tuple[str, int | None, int | None]]:
        return [each for each in told(fed, now_ms, from_ms) if each[1] is None]

    assert later(first + 1000) == []
    fed.tell("daily", 1, "ready", at_ms=first + 500, computed_ms=first)
    assert later(first + 1000) == []
    assert later(first + STALLED_MS) == [(FAILED, None, first)]
    fed.tell("daily", 1, None, "ready", at_ms=first + 900, computed_ms=first)
    both = [(COMPUTED, None, first), (READY, None, first)]
    assert later(first + 1000) == both
    assert later(first + 1000, from_ms=first + 901) == []
    fed.tell("daily", 1, "ready", "ready", at_ms=second + 900, computed_ms=second)
    assert [each[2] for each in later(second + 1000)] == [first, first, second, second]
    assert [each[2] for each in later(second + 1000, from_ms=second + 1)] == [second, second]


def test_an_instant_counts_whichever_version_computed_it() -> None:
    fed, first = Fed(), MIDNIGHT_MS + DAY_MS
    fed.publish(DAILY)
    fed.tell("daily", 1, "ready", "ready", computed_ms=first, at_ms=first + 1)
    fed.publish(DAILY.replace("view", "buy"), version=2, created_ms=first - 1000)
    fed.tell("daily", 2, "ready", at_ms=first + 1, computed_ms=first)
    assert (COMPUTED, None, first) in told(fed, first + 10)
    assert (COMPUTED, 2, MIDNIGHT_MS) not in told(fed, first + 10)


def test_keys_are_read_as_they_are_written() -> None:
    for code in CODES:
        for key in (NoticeKey("p", "a_1", 3, None, code), NoticeKey("p", "a", None, -5, code)):
            assert parse_key(bytes(key)) == key
            assert len(key.id) == 32
