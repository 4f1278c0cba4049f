"""The log that an estimate reads: every record that is there now, as often as needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agents.evaluate.steps import Record
from agents.kafka.consumed import Consumed
from agents.registry.erased_records import ErasedRecords


class Log(Protocol):
    """Records of history and source topics, from their first offsets to ends that stay the same."""

    @property
    def partitions(self) -> int:
        """Of the table."""

    @property
    def records(self) -> int:
        """How many offsets there are, for the progress."""

    @property
    def cut_short(self) -> Collection[tuple[str, int]]:
        """The source partitions (topic, number) whose first records are gone."""

    @property
    def history(self) -> Collection[str]:
        """The topics whose records lie before those of the sources."""

    def read(self) -> AsyncIterator[Sequence[Record]]:
        """All of them once more, some of one source partition at a time, in log order."""


@dataclass(frozen=True, slots=True)
class GivenLog:
    """A log in memory: the records of each source partition."""

    partitions: int
    sources: Sequence[Sequence[Record]] = field(default=())
    cut_short: Collection[tuple[str, int]] = ()
    history: Collection[str] = ()

    @property
    def records(self) -> int:
        return sum(map(len, self.sources))

    async def read(self) -> AsyncIterator[Sequence[Record]]:
        for source in self.sources:
            yield source


def without_erased(records: Sequence[Record], erased: ErasedRecords, is_history: bool) -> Sequence[Record]:
    """Of the users who were erased, what came before counts only for the stream time."""
    if not erased:
        return records
    return [
        Consumed(each.topic, each.partition, each.offset, each.timestamp, None, None, ())
        if erased.has(each.key, each.value, None if is_history else each.timestamp, each.topic, each.headers)
        else each
        for each in records
    ]
