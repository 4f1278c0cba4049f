"""One partition of the table in memory: what the parts of a step read and change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agents.evaluate.partition.grafting import Grafting
from agents.evaluate.partition.intake import decode_records
from agents.evaluate.partition.judge import TimestampJudge
from agents.evaluate.partition.positions import Positions
from agents.evaluate.steps import Draft, Limits, Record
from agents.kafka.placement import MOST_PARTITIONS, Place
from rules.compile.rule_set import EMPTY, RuleSet
from rules.state.row import Row
from tables.codec import Checkpoint, Letter, record_print
from tables.cut import CUT_KEY, decode_cut
from tables.erased import ErasedUsers, is_erasure_note
from tables.profiles import Profiles, Staged

SLICE: Final = 100
SLICE_BYTES: Final = 256 * 1024


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

    def offsets(self, records: Sequence[Record]) -> list[int]:
        """Of those among these records."""
        return [each.offset for each in records if self.holds(each)] if self._prints else []

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
        notes = dict(profiles.store.notes())
        cut = notes.pop(CUT_KEY, None)
        self.last_cut = None if cut is None else decode_cut(cut)
        """None: there was none yet."""
        self.grafting: Grafting | None = None
        """Of the cut, until every row is grafted."""
        self.erased = profiles.erased = ErasedUsers(notes)
        unburied = list(self.erased.unburied)
        if unburied:
            rows = dict(zip(unburied, profiles.store.get_many(unburied), strict=True))
            self.erased.recover(self.positions.offsets, rows)
        refused = [each for each in notes.items() if not is_erasure_note(each[0])]
        self.judge = TimestampJudge(place, checkpoint, refused)
        self.refused_before = RefusedBefore(place, recovered.letters)

    def begin(self) -> Draft:
        """A step begins."""
        self.profiles.age()
        return Draft(self.stream_time_ms, dict(self.positions.offsets), dict(self.positions.prints))

    def rows(self, draft: Draft, keys: Sequence[bytes]) -> Mapping[bytes, Row]:
        """Load rows for a step; those of an earlier epoch are grafted first."""
        rows = self.profiles.load(keys)
        if self.grafting is not None:
            self.grafting.bring(self.profiles, draft, keys, rows)
        return rows

    def stage(self, draft: Draft, most_bytes: int) -> Staged:
        """Stage what a draft changed (``Profiles.stage``). Raises RowsTooLarge."""
        return self.profiles.stage(draft.changed, draft.local, draft.stale, most_bytes, draft.turned)

    def end_graft(self) -> None:
        """Every row is grafted."""
        if self.grafting is not None:
            self.grafting.shadow.close()
            self.grafting = None

    def first_row(self, key: bytes, now_ms: int) -> Row | None:
        """What is known of a user before the first record here; None: nothing."""
        return None

    @property
    def forgets(self) -> bool:
        """Whether ``is_forgotten`` and ``is_back`` must be asked."""
        return False

    def is_forgotten(self, key: bytes, topic: str, source: int, offset: int) -> bool:
        """Whether a record of a user is from before an erasure that the row doesn't know of."""
        return False

    def is_back(self, key: bytes, row: Row) -> bool:
        """Whether the row began after its user was erased, so that this must not be done again."""
        return False

    def sweep_first(self, draft: Draft, key: bytes, row: Row) -> None:
        """What a sweep that isn't over will do to a row, is done now."""

    def position_of(self, topic: str, partition: int) -> int:
        """Last offset taken of a source partition; -1 when none was."""
        return self.positions.offsets.get(self.place.source(topic, partition), -1)

    def print_of(self, topic: str, partition: int) -> int | None:
        """``record_print`` of that last record; None: it isn't known."""
        return self.positions.prints.get(self.place.source(topic, partition))

    def has_taken(self, topic: str) -> bool:
        """Whether any record of a source topic was taken here."""
        partitions = range(self.place.partition, MOST_PARTITIONS, self.place.partitions)
        return any(self.position_of(topic, each) >= 0 for each in partitions)

    @property
    def slice_records(self) -> int:
        """So many records are fed at once, some milliseconds: answers of brokers and lookups get their turn
        between."""
        return SLICE

    @property
    def slice_bytes(self) -> int:
        """Of these records at most, because a large one may hold hundreds of small ones. One record at
        least."""
        return SLICE_BYTES

    @property
    def epoch(self) -> int:
        """The rules epoch of new rows."""
        return 0 if self.last_cut is None else self.last_cut.epoch

    def rewind(self, draft: Draft) -> None:
        """Forget what the draft's records did, as if the step had not begun."""
        self.stream_time_ms = draft.stream_time_ms
        self.positions.go_back(draft.positions, draft.prints)
        for records in draft.fed:
            read, _ = decode_records(self.place, records, self.limits)
            self.profiles.forget(key for _, _, key, _ in read)
