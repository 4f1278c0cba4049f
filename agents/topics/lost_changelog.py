"""A changelog that can't be the one that the state was written to. No I/O; a worker finds the same itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from aiokafka import TopicPartition

from agents.topics.fault import Fault
from agents.topics.look import Topic
from agents.topics.noted import lost
from agents.topics.plan import TopicPlan
from tables.codec import Checkpoint


def changelog_faults(
    plan: TopicPlan,
    changelog: Topic | None,
    begins: Mapping[int, int],
    checkpoints: Mapping[int, Checkpoint],
    taken: Mapping[TopicPartition, int],
    stores: Mapping[int, Path],
) -> Iterator[Fault]:
    """What is wrong with the changelog, beyond its settings; it is None where it does not exist.

    ``begins`` and ``checkpoints`` are by its partitions, ``taken`` is what the group has committed of the
    sources, ``stores`` are the rows on this machine.
    """
    because = lost(plan, plan.changelog)
    if changelog is None:
        if stores:
            path = next(iter(stores.values()))
            yield Fault(plan.changelog, f"does not exist, but there are rows of it in {path}", "", *because)
        elif text := _first_taken(plan, taken):
            yield Fault(plan.changelog, f"does not exist, but {text}", "", *because)
        return
    for partition in range(changelog.partitions):
        name, checkpoint = f"{plan.changelog}/{partition}", checkpoints.get(partition)
        if checkpoint is None:
            own = {tp: end for tp, end in taken.items() if tp.partition % changelog.partitions == partition}
            if text := _first_taken(plan, own):
                yield Fault(name, f"holds nothing of the partition, but {text}", "", *because)
        elif begins[partition] > checkpoint.ground.whole_from:
            wrong = (
                f"begins at offset {begins[partition]}: the rows before it are on the disks of workers only"
            )
            why = "a worker without them can't start"
            yield Fault(name, wrong, "", why, because[1])
    written = {checkpoint.partitions for checkpoint in checkpoints.values()} - {changelog.partitions}
    for partitions in sorted(written):
        yield Fault(
            plan.changelog,
            f"was written with {partitions} partitions and now has {changelog.partitions}",
            "",
            "a user's place depends on their number",
            "Restore the topic from a backup, or start over with another worker.app_id and topics.prefix",
        )


def _first_taken(plan: TopicPlan, taken: Mapping[TopicPartition, int]) -> str:
    """What the group has taken, in words; empty: nothing."""
    for tp, offset in sorted(taken.items()):
        if offset > 0:
            group = plan.app_id
            return f"the consumer group '{group}' has taken {tp.topic}/{tp.partition} up to offset {offset}"
    return ""
