"""What goes into a pipeline and what comes out: records, steps, dead letters, counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from agents.evaluate.jobs import Parts
from agents.formats.format import Format
from agents.kafka.placement import Located, Origin
from agents.kafka.raw.records import value_bytes
from rules.state.dedupe import DAY_MS, Dedupe, dedupe_of
from rules.state.identities import Claim
from rules.state.row import Transition
from tables.codec import Checkpoint, Letter
from tables.erased import Erased
from tables.profiles import Staged
from tables.refused import Note
from tables.store import Timer

if TYPE_CHECKING:
    from agents.kafka.raw.hooks import Ready


class Record(Located, Protocol):
    """A Kafka record as the consumer gives it. ``timestamp`` in ms, negative when there is none."""

    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


STEP_TRANSITIONS = 4_000
STEP_BYTES = 32 * 1024 * 1024
CHANGELOG_BYTES = 8 * 1024 * 1024
A_DAY = dedupe_of(DAY_MS, 1000)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one record may bring (settings ``records``), and how it is written."""

    max_bytes: int = 512 * 1024
    max_attributes_bytes: int = 256 * 1024
    formats: Mapping[str, Format] = field(default_factory=dict)
    """Of source topics whose records are not native (settings ``sources``)."""
    dedupe: Dedupe = A_DAY
    """How long an event's id is remembered."""
    changelog_bytes: int = CHANGELOG_BYTES
    """The largest record that the changelog takes (``max.message.bytes``). Input records may fill half of it
    with a user's row; time and definitions may fill more (``agents.evaluate.partition.row_limits``)."""
    step_transitions: int = STEP_TRANSITIONS
    """With so many a step ends, though a record or a user that is begun is brought to the end."""
    step_bytes: int = STEP_BYTES
    """Likewise, of records and of large rows that they change."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be used, with the reason; its bytes stay untouched."""

    record: Record
    origin: Origin
    code: str
    message: str
    stage: str


@dataclass(slots=True)
class Counts:
    """What a step did, for the metrics: every record, or each part of one (``agents.evaluate.parts``),
    ends in exactly one of the first five."""

    applied: int = 0
    repeated: int = 0
    """Applied before: read again after a crash, or sent again under the same id."""
    dead: int = 0
    repartitioned: int = 0
    skipped: int = 0
    """Concerns no user."""
    enters: int = 0
    exits: int = 0
    timers: int = 0
    ids_dropped: int = 0

    @property
    def records(self) -> int:
        return self.applied + self.repeated + self.dead + self.repartitioned + self.skipped


class Finished(Protocol):
    """Transitions and claims of a step that need not become objects."""

    def transitions(
        self, later: Sequence[Finished], partition: int, partitions: int | None, most_bytes: int
    ) -> Parts[list[tuple[int, Ready]]]:
        """These and those of later steps, in order, for the partitions of their topic: ``partition``, or with
        ``partitions`` each user's. Batches have at most ``most_bytes``, or one record."""
        ...

    def claims(self, partitions: int, most_bytes: int) -> Iterator[tuple[int, Ready]]:
        """The claims of identities, likewise, for a topic with so many partitions."""
        ...

    def moves(self) -> Sequence[tuple[bool, str, str, int]]:
        """How often users entered (true) or left, by project and audience (id)."""
        ...


@dataclass(slots=True)
class Step:
    """What one step changed and sends. Its changelog batch: notes, ``checkpoint``, ``rows``,
    ``end_checkpoint``.

    ``checkpoint`` has the stream time before the step: what recovery needs while some of the step's rows may
    be missing. ``end_checkpoint`` has the time after it: what the records after the step are applied at. What
    they say of acknowledged steps is set when they are written (``Pipeline.records``).
    """

    number: int
    checkpoint: Checkpoint
    end_checkpoint: Checkpoint
    must_note: bool
    """The end checkpoint must be written even if no row changed: a record moved stream time or a position, or
    was refused because of its user's row, or there is no checkpoint yet."""
    staged: Staged
    transitions: Sequence[Transition]
    transition_keys: Sequence[bytes]
    claims: Sequence[tuple[bytes, Claim]]
    """Of identities, each with its row key, in order."""
    left: list[bytes]
    """Keys of rows that stay as they were, because they would be larger than the changelog takes."""
    dead: list[DeadLetter] = field(default_factory=list)
    repartitioned: list[tuple[str, Record, Origin]] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    accepted: Mapping[str, int] = field(default_factory=dict)
    """``tables.codec.Ground.accepted``, for the headers of repartitioned records."""
    refused_before: list[Letter] = field(default_factory=list)
    """``RefusedBefore.to_come`` at the beginning of the step: its checkpoints keep them."""

    finished: Finished | None = None
    """Transitions and claims once more, where they are finished batches already."""
    erased: Mapping[bytes, Erased] = field(default_factory=dict)
    """By row key, the users whom it erased."""

    def moves(self) -> Iterable[tuple[bool, str, str, int]]:
        """``Finished.moves``; where there is none, each transition by itself."""
        if self.finished is not None:
            return self.finished.moves()
        moves = (each for each in self.transitions if not each.destination)
        return ((each.is_enter, each.project, each.audience, 1) for each in moves)

    @property
    def is_logged(self) -> bool:
        """Whether the changelog must know of it."""
        write = self.staged.write
        return bool(self.staged.rows or write.notes or self.must_note)

    @property
    def is_empty(self) -> bool:
        """Nothing to write anywhere."""
        write = self.staged.write
        written = write.rows or write.timers_dropped or write.notes or self.must_note
        return not (written or self.transitions or self.dead or self.repartitioned)


@dataclass(slots=True)
class Draft:
    """A step in the making. ``stream_time_ms``, ``positions`` and ``prints`` are the partition's before
    it."""

    stream_time_ms: int
    positions: dict[int, int]
    prints: dict[int, int] = field(default_factory=dict)
    changed: dict[bytes, int | None] = field(default_factory=dict)
    """Keys of the rows that changed, each with the ``timer_ms`` that the row had before the step."""
    local: dict[bytes, int | None] = field(default_factory=dict)
    """Likewise, of rows in which nothing but ``timer_ms`` changed."""
    turned: set[bytes] = field(default_factory=set)
    """Keys of all rows whose memberships may have changed, with transitions or in silence: the index of
    members follows these."""
    transitions: list[Transition] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    """Of the rows of the transitions, in their order."""
    claims: list[tuple[bytes, Claim]] = field(default_factory=list)
    """Of identities, each with its row key, in order."""
    dead: list[DeadLetter] = field(default_factory=list)
    repartitioned: list[tuple[str, Record, Origin]] = field(default_factory=list)
    stale: list[Timer] = field(default_factory=list)
    """Entries of the timer index that are no row's any more."""
    stream_time_moved: bool = False
    counts: Counts = field(default_factory=Counts)
    fed: list[Sequence[Record]] = field(default_factory=list)
    """The records taken, slice by slice."""
    fed_bytes: int = 0
    refused: list[DeadLetter] = field(default_factory=list)
    """Those of the dead letters that are there because of a row."""
    left: list[bytes] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    """Beside those of refused records."""
    erased: dict[bytes, Erased] = field(default_factory=dict)
    """By row key, the users whom records of the type ``delete`` erased."""
    buried: list[bytes] = field(default_factory=list)
    """Keys of rows that are deleted."""
    must_note: bool = False
    """Its end checkpoint must be written whatever it holds."""
    is_bounded: bool = True
    row_bytes: int = 0
    """Of large rows that it changed."""

    def is_full(self, limits: Limits) -> bool:
        """It is time for another step: what a step holds in memory is bounded, whatever the records bring."""
        return self.is_bounded and (
            len(self.transitions) >= limits.step_transitions
            or self.fed_bytes + self.row_bytes >= limits.step_bytes
        )

    def change(self, key: bytes, due_before: int | None) -> None:
        """A row changed, and must go to the changelog; ``due_before`` is the ``timer_ms`` that it had."""
        if key not in self.changed:
            self.changed[key] = self.local.pop(key, due_before)

    def move_timer(self, key: bytes, due_before: int | None) -> None:
        """Nothing but the row's ``timer_ms`` changed."""
        if key not in self.changed:
            self.local.setdefault(key, due_before)

    def claim(self, key: bytes) -> bool:
        """The transitions that came since the last call are of this row; whether there are any."""
        news = len(self.transitions) - len(self.keys)
        if news:
            self.keys.extend([key] * news)
            self.turned.add(key)
        return news > 0

    @property
    def emitted(self) -> Sequence[Transition]:
        """The transitions, once the draft is staged."""
        return self.transitions

    @property
    def emitted_by(self) -> Sequence[bytes]:
        """The row keys of ``emitted``."""
        return self.keys

    @property
    def claimed(self) -> Sequence[tuple[bytes, Claim]]:
        """``Step.claims``, once the draft is staged."""
        return self.claims

    @property
    def finished(self) -> Finished | None:
        """``Step.finished``."""
        return None

    def counted(self) -> Counts:
        """The counts, at the end of the step."""
        counts = self.counts
        counts.dead = len(self.dead)
        counts.repartitioned = len(self.repartitioned)
        counts.enters = sum(each.is_enter for each in self.transitions)
        counts.exits = sum(each.is_exit for each in self.transitions)
        return counts

    def refuse(self, letter: DeadLetter) -> None:
        """A record becomes a dead letter because of its user's row."""
        self.dead.append(letter)
        self.refused.append(letter)

    def take(self, records: Sequence[Record]) -> None:
        """These records are part of the step."""
        self.fed.append(records)
        self.fed_bytes += value_bytes(records)
