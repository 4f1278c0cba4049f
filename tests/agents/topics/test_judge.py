"""What is wrong with topics: every fault says what is wrong, what is allowed, why, and what mends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.topics.fault import Fault, TopicsUnusable, raise_if_unusable
from agents.topics.judge import judge, missing_sources
from agents.topics.look import Cluster, Topic
from agents.topics.noted import made_again
from agents.topics.plan import TopicPlan, copies, wanted_topics
from tables.codec import Ground, source_key, topic_key

PLAN = TopicPlan("shop", "shop", ["shop.events"], ["shop.history"])
WANTED = wanted_topics(PLAN, 4)
RECORD_BYTES = 512 * 1024


def cluster(brokers: int = 3, without: str = "", **changed: dict[str, object]) -> Cluster:
    """All topics as they are made, but for ``changed`` (by the end of the name)."""
    topics = {}
    for each in WANTED:
        fields = {
            "topic_id": each.name.encode().ljust(16)[:16],
            "partitions": each.partitions,
            "replicas": min(3, brokers),
            "configs": each.made_with(min(3, brokers)),
        }
        for end, values in changed.items():
            if each.name.endswith(end):
                configs = {**fields["configs"], **values.pop("configs", {})}  # type: ignore[dict-item]
                fields |= {**values, "configs": configs}
        topics[each.name] = Topic(each.name, **fields)  # type: ignore[arg-type]
    topics.pop(without, None)
    return Cluster(brokers, topics)


@pytest.mark.parametrize("brokers", [1, 2, 3])
def test_topics_as_they_are_made_have_no_fault(brokers: int) -> None:
    assert judge(WANTED, cluster(brokers), RECORD_BYTES) == []
    assert copies(None, brokers) == brokers
    assert copies(None, 9) == 3
    assert copies(1, 9) == 1


@pytest.mark.parametrize(
    ("end", "configs", "loses", "mended"),
    [
        ("changelog", {"cleanup.policy": "delete"}, True, "compact"),
        ("changelog", {"cleanup.policy": "compact,delete"}, True, "compact"),
        ("audiences", {"cleanup.policy": "delete"}, True, "compact"),
        ("shop.rekeyed", {"cleanup.policy": "compact"}, True, "delete"),
        ("transitions", {"cleanup.policy": "delete, compact"}, True, "delete"),
        ("events.dlq", {"cleanup.policy": "compact"}, True, "delete"),
        ("changelog", {"max.message.bytes": "200000"}, True, "8388608"),
        ("changelog", {"max.message.bytes": "1048588"}, False, "8388608"),
        ("shop.rekeyed", {"max.message.bytes": "500000"}, False, "8388608"),
        ("events.dlq", {"max.message.bytes": "500000"}, False, "8388608"),
        ("changelog", {"min.insync.replicas": "4"}, True, "3"),
        ("shop.rekeyed", {"retention.ms": "604800000"}, False, "-1"),
        ("shop.history", {"retention.ms": "604800000"}, True, "-1"),
        ("shop.history", {"retention.bytes": "1000000"}, True, "-1"),
        ("shop.history", {"cleanup.policy": "compact"}, True, "delete"),
        ("shop.history", {"message.timestamp.type": "LogAppendTime"}, True, "CreateTime"),
        ("shop.history", {"max.message.bytes": "500000"}, False, "8388608"),
        ("shop.imports", {"cleanup.policy": "delete"}, True, "compact"),
        ("shop.events", {"cleanup.policy": "compact"}, False, None),
        ("shop.events", {"min.insync.replicas": "4"}, False, None),
    ],
)
def test_a_setting_that_is_wrong_is_told_with_what_mends_it(
    end: str, configs: dict[str, str], loses: bool, mended: str | None
) -> None:
    (fault,) = judge(WANTED, cluster(**{end: {"configs": configs}}), RECORD_BYTES)
    assert fault.loses is loses
    ((name, value),) = configs.items()
    assert name in fault.wrong
    assert value in fault.wrong
    assert fault.setting == (None if mended is None else (name, mended))
    assert ("turnstile topics apply" in str(fault)) is (mended is not None)


def test_a_repartition_topic_with_fewer_partitions_than_the_table_is_refused() -> None:
    (fault,) = judge(WANTED, cluster(**{"shop.rekeyed": {"partitions": 3}}), RECORD_BYTES)
    with pytest.raises(TopicsUnusable, match="has 3 partitions; it must be 4 or more"):
        raise_if_unusable([fault])
    assert judge(WANTED, cluster(**{"shop.rekeyed": {"partitions": 5}}), RECORD_BYTES) == []


@pytest.mark.parametrize("partitions", [3, 8])
def test_a_history_topic_with_another_number_of_partitions_than_the_table_is_refused(partitions: int) -> None:
    (fault,) = judge(WANTED, cluster(**{"shop.history": {"partitions": partitions}}), RECORD_BYTES)
    with pytest.raises(TopicsUnusable, match=f"shop.history has {partitions} partitions; it must be 4, as"):
        raise_if_unusable([fault])


def test_one_copy_on_several_brokers_is_unwise_and_everything_is_told_at_once() -> None:
    changed = {
        end: {"replicas": 1, "configs": {"min.insync.replicas": "1"}} for end in ("shop.rekeyed", "audiences")
    }
    faults = judge(WANTED, cluster(**changed), RECORD_BYTES)  # type: ignore[arg-type]
    assert ["has one copy on a cluster of 3 brokers" in str(each) for each in faults] == [True, True]
    raise_if_unusable(faults)


def test_a_missing_source_is_told_with_the_nearest_name_that_is_no_topic_of_ours() -> None:
    plan = TopicPlan("shop", "shop", ["shop.event", "web"])
    near, far = missing_sources(plan, cluster())
    assert "topics.events names 'shop.event', which does not exist; did you mean 'shop.events'?" in str(near)
    assert "topics.events names 'web', which does not exist. Input topics belong to the producers" in str(far)


def test_a_topic_is_another_one_when_its_id_is_and_something_was_taken_of_it() -> None:
    now = cluster().ids
    same = Ground({topic_key(name): topic_id for name, topic_id in now.items()})
    other = Ground({topic_key(name): bytes(16) for name in now})

    def found(ground: Ground, offset: int, ids: dict[str, bytes]) -> list[Fault]:
        return list(made_again(PLAN, ground, lambda _: offset >= 0, ids))

    assert found(same, 3, now) == []
    assert found(Ground(), 3, now) == []
    assert found(other, 3, dict.fromkeys(now, b"")) == [], "a broker without ids"
    all_kept = [*PLAN.sources, PLAN.transitions, PLAN.audiences]
    assert [each.topic for each in found(other, 3, now)] == all_kept
    assert [each.topic for each in found(other, -1, now)] == [PLAN.transitions, PLAN.audiences]
    gone = found(same, 3, {})
    assert [each.topic for each in gone] == all_kept
    assert all("does not exist any more" in str(each) for each in gone)
    assert all(f"turnstile topics accept {each.topic}" in str(each) for each in gone)


def test_settings_that_the_account_may_not_see_are_told() -> None:
    seen = cluster()
    unseen = Cluster(3, {name: replace(each, configs=None) for name, each in seen.topics.items()})
    faults = judge(WANTED, unseen, RECORD_BYTES)
    assert {each.topic for each in faults} == {each.name for each in WANTED} - {"shop.events"}
    assert not any(each.loses for each in faults)
    assert all("DescribeConfigs" in str(each) for each in faults)


def test_source_partitions_that_rows_cannot_tell_apart_are_refused() -> None:
    by_key: dict[int, str] = {}
    for number in range(1_000_000):
        name = f"events{number}"
        other = by_key.setdefault(source_key(name, 0), name)
        if other != name:
            break
    plan = TopicPlan("shop", "shop", [other, name])
    topics = {each: Topic(each, bytes(16), 1, 3, {}) for each in (other, name)}
    (fault,) = judge(wanted_topics(plan, 1), Cluster(3, topics))
    with pytest.raises(TopicsUnusable, match=f"^{name}/0 has the same short name in the rows as {other}/0"):
        raise_if_unusable([fault])
