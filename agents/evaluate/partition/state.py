"""One partition of the table in memory: what the parts of a step read and change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agents.evaluate.partition.intake import decode_records
from agents.evaluate.partition.judge import TimestampJudge
from agents.evaluate.partition.positions import Positions
from agents.evaluate.steps import Draft, Limits, Record
from agents.kafka.placement import Place
from rules.compile.rule_set import EMPTY, RuleSet
from tables.codec import Checkpoint, Letter, record_print
from tables.profiles import Profiles


@dataclass(frozen=True, slots=True)
class Recovered:
    """What recovery found in a partition's changelog; of a new partition, nothing."""

    checkpoint: Checkpoint | None = None
    """The last one."""
    changelog_next: int = 0
    """Offset after the last record that was read."""
    changelog_id: bytes = b""
    """Of the changelog's topic, for the store to remember."""
    used_slots: Sequence[int] = ()
    """Where chunks of outboxes lie."""
    letters: Sequence[Letter] = ()
    """Dead letters that aren't known to be in Kafka; they are sent again before anything else."""


class RefusedBefore:
    """Records that became dead letters because of their rows, in a step that a crash cut short.

    When they come again they are not judged again: the step that they come in now may end with other rows. So
    they are kept in each checkpoint until the partition's position is past them, however many crashes there
    are until then.
    """

    def __init__(self, place: Place, letters: Iterable[Letter]) -> None:
        self._place = place
        self._letters = [
            (place.source(each.topic, each.partition), each)
            for each in letters
            if place.reads(each.topic)  # of a topic that isn't read any more nothing comes again
        ]
        self._prints = {
            (each.origin, record_print(each.timestamp_ms, each.key, each.value)) for _, each in self._letters
        }
        """Several parts of one record may have been refused."""

    def holds(self, record: Record) -> bool:
        """Whether this is one of them."""
        if not self._prints:
            return False
        known = record_print(record.timestamp, record.key, record.value)
        return (self._place.origin(record), known) in self._prints

    def to_come(self, positions: dict[int, int]) -> list[Letter]:
        """Those that these positions don't pass."""
        return [each for source, each in self._letters if each.offset > positions.get(source, -1)]


class Partition:
    """Rows, rules, stream time and positions of one partition. Not thread-safe; steps are in order."""

    def __init__(self, place: Place, profiles: Profiles, limits: Limits, recovered: Recovered) -> None:
        checkpoint = recovered.checkpoint
        self.place = place
        self.profiles = profiles
        self.limits = limits
        self.rules: RuleSet = EMPTY
        self.stream_time_ms = checkpoint.stream_time_ms if checkpoint else 0
        self.positions = Positions(checkpoint)
        self.judge = TimestampJudge(place, checkpoint, profiles.store.notes())
        self.refused_before = RefusedBefore(place, recovered.letters)

    def begin(self) -> Draft:
        """A step begins."""
        self.profiles.age()
        return Draft(self.stream_time_ms, dict(self.positions.offsets), dict(self.positions.prints))

    def rewind(self, draft: Draft) -> None:
        """Forget what the draft's records did, as if the step had not begun."""
        self.stream_time_ms = draft.stream_time_ms
        self.positions.go_back(draft.positions, draft.prints)
        for records in draft.fed:
            read, _ = decode_records(self.place, records, self.limits)
            self.profiles.forget(key for _, _, key, _ in read)
