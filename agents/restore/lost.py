"""Changelogs that can't bring a partition's rows back: made again, cut, or without their head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agents.restore.reading import Reading
from agents.topics.look import shown_id
from tables.codec import Checkpoint


class PartitionsChanged(Exception):
    """The table was written with another number of partitions; users would be looked for elsewhere."""


class ChangelogLost(Exception):
    """The changelog is not the one that the store or the group's offsets belong to, or its head is gone."""


def headless(readings: Mapping[int, Reading]) -> set[int]:
    """The partitions whose changelog begins after what the store has."""
    return {p for p, each in readings.items() if each.known.changelog_next < each.changelog.position}


def fault_of(
    name: str, changelog_id: bytes, path: Path, reading: Reading, checkpoint: Checkpoint | None
) -> str | None:
    """Why the partition ``name`` of a changelog doesn't go with the store at ``path``; None: it does.

    ``checkpoint`` is the last one, which is needed only for a partition that is ``headless``.
    """
    known, position = reading.known, reading.changelog.position
    if changelog_id and known.changelog_id and changelog_id != known.changelog_id:
        return (
            f"{name} was deleted and made again: the rows in {path} belong to the topic with the id "
            f"{shown_id(known.changelog_id)}, and its id is {shown_id(changelog_id)} now"
        )
    if position > reading.end:
        return (
            f"{name} ends at offset {reading.end}, but the rows in {path} were written up to offset "
            f"{position}: it was made again or cut"
        )
    is_headless = known.changelog_next < position
    if is_headless and (checkpoint is None or checkpoint.ground.whole_from < position):
        return (
            f"{name} begins at offset {position}, and the rows from offset {known.changelog_next} on "
            f"are not in {path} either: retention or somebody removed them"
        )
    return None
