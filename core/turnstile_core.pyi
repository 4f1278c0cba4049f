"""What Python calls in the native core (``core/src/python``). Instants are in ms; row keys as
``tables.codec`` has them; transitions, and events on their way to destinations, as msgpack of
``rules.state.row.Transition``."""

from collections.abc import Sequence
from typing import final

INTERFACE: int
IS_OPTIMIZED: bool
"""Built with cargo's profile ``release``, so that its speed means something."""

_Timer = tuple[int, bytes]
_Member = tuple[int, bytes]
_Written = tuple[bytes, bytes | None, list[tuple[str, bytes]]]

class UnknownRule(ValueError):
    """The core doesn't know a rule of a rule set; the text names it."""

class RowUnreadable(ValueError):
    """A row's bytes are none that this program writes: (row key, reason)."""

@final
class Rules:
    """Compiled rules; shared by partitions and threads."""

    def __new__(cls, spec: bytes) -> Rules:
        """``spec``: ``rules.compile.spec``. Raises UnknownRule."""
    def take_dropped(self) -> int:
        """How many samples conditions have let go since the last call, because a user had too many."""

class UnusualFetch(ValueError):
    """A fetch that only aiokafka's own reader reads; the text says why."""

@final
class Fetched:
    """What one fetch gave of a partition, or given records."""

    def __init__(
        self,
        raw: bytes,
        from_offset: int,
        aborted: Sequence[tuple[int, int]],
        start: int = 0,
        enough_bytes: int = ...,
    ) -> None:
        """Records from ``from_offset`` on, of the batches that begin at byte ``start``, until so many bytes
        are unpacked. ``aborted``: producers and first offsets of transactions. Raises UnusualFetch."""
    @staticmethod
    def of(records: Sequence[tuple[int, int, bytes | None, bytes | None]]) -> Fetched:
        """Of (offset, timestamp_ms, key, value), without headers."""
    def __len__(self) -> int: ...
    @property
    def next_offset(self) -> int: ...
    @property
    def rest(self) -> int | None:
        """The byte from which on batches were left for another one; None: there are none."""
    @property
    def aborted(self) -> list[tuple[int, int]]:
        """What to say of aborted transactions when the rest is read."""
    def record(
        self, number: int
    ) -> tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
        """(offset, timestamp_ms, key, value, headers). Raises IndexError, as the next two do."""
    def offset(self, number: int) -> int: ...
    def timestamp_ms(self, number: int) -> int: ...
    def last_timestamp_ms(self, start: int, end: int) -> int | None:
        """The largest; None: there are no records between."""
    def value_bytes(self, start: int, end: int) -> int: ...
    def end_within(self, start: int, end: int, most_bytes: int) -> int:
        """Where a slice ends whose values have at most so many bytes; one record at least."""

def stamp(batch: bytes, producer_id: int, epoch: int, sequence: int, is_transactional: bool = False) -> bytes:
    """The batch with what a producer writes when it sends it, and its checksum."""

def batches(
    records: Sequence[tuple[int, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]],
    max_bytes: int,
    is_packed: bool = False,
) -> list[tuple[bytes, int]]:
    """Finished batches of (timestamp_ms, key, value, headers), each with the number of its records."""

@final
class Asked:
    """What a lookup asks of each user."""

    def __new__(
        cls,
        project: str,
        audiences: Sequence[str] | None,
        at_ms: int,
        status: str = "ok",
        more: str = "",
    ) -> Asked:
        """``audiences``: ids of those to tell of; None: all that the user is in. ``at_ms``: the instant, if
        stream time is not beyond it. ``status``: of users who are known. ``more``: fields that come last, as
        JSON with a comma in front."""

def look_at_stored(
    rules: Rules, asked: Asked, users: Sequence[str], stored: Sequence[bytes | None]
) -> list[bytes]:
    """As ``Partition.look``, by rows as a store has them. Raises RowUnreadable."""

def partitions_of(users: Sequence[str], partitions: int) -> list[int]:
    """The partition that Kafka's partitioner gives each user id."""

@final
class Made:
    """A step that is computed."""

    @property
    def number(self) -> int: ...
    @property
    def changed(self) -> int:
        """How many rows go to the changelog."""
    @property
    def stored(self) -> int:
        """How many rows, and dropped timers, go to the store."""
    @property
    def emitted(self) -> int: ...
    @property
    def claimed(self) -> int:
        """How many identities users claimed."""
    @property
    def counts(self) -> tuple[int, int, int, int, int, int, int]:
        """(applied, repeated, repartitioned, enters, exits, timers, ids dropped) of what the core computed;
        enters and exits of all."""
    def rows(self) -> list[tuple[bytes, bytes]]:
        """What goes to the changelog."""
    def transitions(self) -> list[tuple[bytes, bytes]]:
        """Row key and transition, in order."""
    def claims(self) -> list[tuple[bytes, bytes]]:
        """Row key and claim of an identity, in order."""
    def claim_outputs(self, partitions: int, most_bytes: int) -> list[tuple[int, bytes, int]]:
        """Finished batches for the topic of claims: (its partition, batch, records)."""
    def moves(self) -> list[tuple[bool, str, str, int]]:
        """How often users entered (true) or left, by project and audience (id)."""
    def outputs(
        self, later: list[Made], partition: int, partitions: int | None, most_bytes: int
    ) -> list[tuple[int, bytes, int]]:
        """Finished batches of this step and later ones for the topic of transitions: (its partition, batch,
        records)."""

@final
class Partition:
    """Rows of one partition, and steps over them."""

    def __new__(
        cls,
        rules: Rules,
        *,
        partition: int,
        partitions: int,
        cache_bytes: int,
        max_bytes: int,
        max_attributes_bytes: int,
        dedupe: tuple[int, int, int],
        step_transitions: int,
        step_bytes: int,
        sizes: list[tuple[int, int]],
    ) -> Partition:
        """``dedupe``: fields of ``rules.state.dedupe.Dedupe``; ``sizes``: the store's members by audience."""

    def define(self, rules: Rules) -> None: ...
    def begin(self, stream_time_ms: int, epoch: int) -> None: ...
    def read(self, fetched: Fetched, start: int, end: int) -> tuple[list[int], list[bytes]]:
        """Decode a slice: (odd records by their place in it, row keys that are not in memory)."""
    def replace(self, at: int, record: bytes | None) -> bytes | None:
        """What Python's reader made of an odd record; its row key if that is not in memory."""
    def missing(self, of: list[bytes]) -> list[bytes]: ...
    def supply(self, of: list[bytes], values: list[bytes | None]) -> None: ...
    def take(
        self, source: int, floor: int, refused_before: list[int], is_unbounded: bool = False
    ) -> tuple[int, int, list[tuple[int, str]], list[tuple[int, int]], bool]:
        """Apply the slice: (taken, stream time, repartitioned [(place, user id)], refused [(place, bytes that
        the attributes would have)], whether the step is full)."""
    def due_search(self) -> tuple[int, int]: ...
    def due(self, before_ms: int, limit: int, stored: list[_Timer]) -> list[_Timer]: ...
    def quiet(self, later_ms: int | None) -> None: ...
    def may_be_due(self, before_ms: int) -> bool: ...
    def fired_until(self, before_ms: int) -> None: ...
    @property
    def timers_in_memory(self) -> int: ...
    def fire(self, due: list[_Timer], is_unbounded: bool) -> tuple[int, list[_Timer]]: ...
    def row(self, key: bytes) -> bytes | None: ...
    def stage(
        self,
        rows: list[tuple[bytes, bytes, int | None, bool, bool]],
        transitions: list[tuple[bytes, bytes]],
        claims: list[tuple[bytes, bytes]],
    ) -> None:
        """Rows: (key, bytes, timer before, whether more than the timer changed, whether memberships may
        have)."""
    def rewind(self) -> None: ...
    def set_stream_time(self, stream_time_ms: int) -> None: ...
    @property
    def is_full(self) -> bool: ...
    @property
    def emitted(self) -> int: ...
    def finish(self, number: int, most_bytes: int, stale: list[_Timer]) -> Made | list[bytes]:
        """The step; or the keys of rows that are too large: then nothing is changed."""
    def changelog(
        self,
        steps: list[tuple[Made, list[_Written], list[_Written]]],
        now_ms: int,
        record_bytes: int,
        batch_bytes: int,
    ) -> list[tuple[bytes, int]] | None:
        """Finished batches of the changelog of steps, each with what comes before its rows and after them;
        with the records of each batch. None: some outbox needs chunks."""
    def outbox(self, key: bytes, number: int) -> bytes | None: ...
    def acked(self, made: Made) -> None: ...
    def durable(self, number: int) -> None: ...
    @property
    def durable_rows(self) -> int: ...
    def flush(
        self,
    ) -> tuple[list[tuple[bytes, bytes]], list[_Timer], list[_Timer], list[_Member], list[_Member]]:
        """What the store must get: (rows, timers added, dropped, members added, dropped)."""
    def stored(self) -> None: ...
    def look(
        self, asked: Asked, users: Sequence[str], stored: Sequence[bytes | None] | None = None
    ) -> list[bytes | None]:
        """The answer for each user, as JSON of ``app.lookup.answers.UserLookedUp``. Timers that are due are
        decided on a copy, and a step that is under way is waited for only until its next record. None: the
        row is not in memory; with ``stored``, what the store has of these rows, nobody is None. Raises
        RowUnreadable."""
    def rows(self, of: list[bytes]) -> list[bytes | None]: ...
    def unstored_keys(self) -> list[bytes]: ...
    @property
    def unstored_rows(self) -> int: ...
    @property
    def cached_rows(self) -> int: ...
    @property
    def cached_bytes(self) -> int: ...
    def sizes(self) -> dict[int, int]: ...
    def page_search(self, audience: int, after: bytes) -> int: ...
    def page(self, audience: int, after: bytes, limit: int, stored: list[bytes]) -> list[bytes]: ...
