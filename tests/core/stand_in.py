"""The core's Python face, computed by the Python engine: so ``agents.evaluate.native`` is tested also
where the core isn't built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agents.evaluate.native.core import Core
from agents.evaluate.partition.apply import _Applier
from agents.evaluate.partition.state import Recovered
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Draft, Limits
from agents.formats.native import read_plain
from agents.formats.records import InputRecord, time_of
from agents.formats.refused import RecordRefused
from agents.kafka.consumed import Consumed
from agents.kafka.placement import Place, partition_of
from rules.compile.rule_set import RuleSet
from rules.state.dedupe import Dedupe
from rules.state.identities import Claim
from rules.state.row import Transition
from rules.time.instants import FAR_MS, MAX_MS
from tables.codec import Outbox, decode_row, encode_outbox, row_key
from tables.memory_store import MemoryStore
from tables.profiles import Profiles, RowsTooLarge, Staged
from tables.row_store import Timer, Write, together

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Transition).decode
_decode_claim = msgspec.msgpack.Decoder(Claim).decode
FIELDS = [
    "user_id",
    "project",
    "type",
    "id",
    "event",
    "time",
    "properties",
    "identities",
    "set",
    "set_once",
    "unset",
    "add",
    "append",
    "unset_all",
]
TOPIC = "stand-in"


class UnknownRule(ValueError):
    pass


class Rules:
    """Rules as the last ``spec_of`` saw them: ``known`` has them by their spec."""

    known: dict[bytes, RuleSet] = {}  # noqa: RUF012

    def __init__(self, spec: bytes) -> None:
        self.rules = self.known[spec]

    def take_dropped(self) -> int:
        """None: what Python's conditions let go of is counted with them."""
        return 0


class Fetched:
    def __init__(self, records: Sequence[tuple[int, int, bytes | None, bytes | None]]) -> None:
        self.records = list(records)

    @staticmethod
    def of(records: Sequence[tuple[int, int, bytes | None, bytes | None]]) -> Fetched:
        return Fetched(records)


@dataclass
class Made:
    number: int
    staged: Staged
    emitted_rows: list[tuple[bytes, bytes]]
    claim_rows: list[tuple[bytes, bytes]]
    counts: tuple[int, ...]

    @property
    def changed(self) -> int:
        return len(self.staged.rows)

    @property
    def stored(self) -> int:
        return len(self.staged.write.rows) + len(self.staged.write.timers_dropped)

    @property
    def emitted(self) -> int:
        return len(self.emitted_rows)

    @property
    def claimed(self) -> int:
        return len(self.claim_rows)

    def claims(self) -> list[tuple[bytes, bytes]]:
        return self.claim_rows

    def rows(self) -> list[tuple[bytes, bytes]]:
        return list(self.staged.rows)

    def transitions(self) -> list[tuple[bytes, bytes]]:
        return self.emitted_rows


class _Supplied(MemoryStore):
    """What the store said of rows, and what it said of timers last."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Timer] = []

    def timers(self, from_ms: int, before_ms: int, limit: int) -> list[Timer]:
        asked, self.asked = self.asked, []
        return asked


@dataclass
class _Slice:
    records: list[Any]
    entries: list[tuple[Any, bytes, int] | None] = field(default_factory=list)


class Partition:
    def __init__(
        self,
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
    ) -> None:
        self.store = _Supplied()
        self.profiles = Profiles(self.store, 1 << 40, 1 << 60)
        self.profiles.members._sizes = dict(sizes)
        self.limits = Limits(
            max_bytes=max_bytes,
            max_attributes_bytes=max_attributes_bytes,
            dedupe=Dedupe(*dedupe),
            step_transitions=step_transitions,
            step_bytes=step_bytes,
        )
        self.inner = Pipeline(Place(partition, partitions), self.profiles, self.limits, Recovered())
        self.inner.rules = rules.rules
        self.draft = Draft(0, {})
        self.epoch = 0
        self.steps: list[Made] = []
        self.durable_steps = 0
        self.unacked: list[tuple[int, bytes, bytes]] = []
        self.unacked_claims: list[tuple[int, bytes, bytes]] = []

    def define(self, rules: Rules) -> None:
        self.inner.rules = rules.rules

    def begin(self, stream_time_ms: int, epoch: int) -> None:
        self.draft = Draft(stream_time_ms, {})
        self.inner.stream_time_ms = stream_time_ms
        self.epoch = epoch

    # -- rows ----------------------------------------------------------------------------------------

    def row(self, key: bytes) -> bytes | None:
        return self.profiles.read_encoded(key)

    def rows(self, of: list[bytes]) -> list[bytes | None]:
        return [self.row(key) for key in of]

    def missing(self, of: list[bytes]) -> list[bytes]:
        return [key for key in dict.fromkeys(of) if self.row(key) is None]

    def supply(self, of: list[bytes], values: list[bytes | None]) -> None:
        rows = [(key, value) for key, value in zip(of, values, strict=True) if value is not None]
        self.store.write(Write(rows=rows))

    # -- records -------------------------------------------------------------------------------------

    def read(self, fetched: Fetched, start: int, end: int) -> tuple[list[int], list[bytes]]:
        self.slice = _Slice(fetched.records[start:end])
        odd: list[int] = []
        for at, (_, timestamp_ms, _, value) in enumerate(self.slice.records):
            plain = read_plain(value, timestamp_ms, self.limits.max_bytes)
            try:
                time_ms = 0 if plain is None else time_of(plain.time, timestamp_ms)
            except RecordRefused:
                plain = None
            if plain is None:
                odd.append(at)
                self.slice.entries.append(None)
            else:
                self.slice.entries.append((plain, plain.user_id.encode(), time_ms))
        return odd, self.missing([each[1] for each in self.slice.entries if each is not None])

    def replace(self, at: int, record: bytes | None) -> bytes | None:
        if record is None:
            return None
        fields = dict(zip(FIELDS, msgspec.msgpack.decode(record), strict=True))
        timestamp_ms = self.slice.records[at][1]
        time_ms = timestamp_ms if fields["time"] is None else fields["time"]
        made = msgspec.convert(fields, InputRecord)
        key = row_key(made.project, made.user_id)
        self.slice.entries[at] = made, key, time_ms
        return key if self.missing([key]) else None

    def take(
        self, source: int, floor: int, refused_before: list[int], is_unbounded: bool = False
    ) -> tuple[int, int, list[tuple[int, str]], list[tuple[int, int]], bool]:
        draft, inner = self.draft, self.inner
        draft.is_bounded = not is_unbounded
        inner.positions.recovered = {source: floor}
        elsewhere: list[tuple[int, str]] = []
        refused: list[tuple[int, int]] = []
        applier = _Applier(inner, draft, source, False)
        rows = self.profiles.load([each[1] for each in self.slice.entries if each is not None])
        taken = 0
        for (offset, timestamp_ms, key, value), entry in zip(
            self.slice.records, self.slice.entries, strict=True
        ):
            taken += 1
            if inner.stream_time_ms < timestamp_ms <= MAX_MS:
                inner.stream_time_ms = timestamp_ms
            if entry is None:
                continue
            decoded, its_key, time_ms = entry
            row = rows.get(its_key)
            if row is None and not inner.place.owns(decoded.user_id):
                elsewhere.append((taken - 1, decoded.user_id))
                continue
            if offset in refused_before:
                draft.counts.repeated += 1
                continue
            record = Consumed(TOPIC, 0, offset, timestamp_ms, key, value, ())
            dead = len(draft.dead)
            turned = applier.take(record, decoded, its_key, time_ms, row)
            if row is None and its_key in rows:
                rows[its_key].epoch = self.epoch
            if len(draft.dead) > dead:
                refused.append((taken - 1, int(draft.dead[-1].message.split()[4])))
            if turned and draft.is_full(self.limits):
                break
        return taken, inner.stream_time_ms, elsewhere, refused, draft.is_full(self.limits)

    # -- timers --------------------------------------------------------------------------------------

    def due_search(self) -> tuple[int, int]:
        return self.profiles.timers._floor_ms, self.profiles.timers._hidden

    def due(self, before_ms: int, limit: int, stored: list[Timer]) -> list[Timer]:
        self.store.asked = stored
        return self.profiles.timers.due(before_ms, limit)

    def quiet(self, later_ms: int | None) -> None:
        timers = self.profiles.timers
        timers._quiet_until_ms = min(timers._quiet_until_ms, FAR_MS if later_ms is None else later_ms)

    def may_be_due(self, before_ms: int) -> bool:
        return self.profiles.timers.may_be_due(before_ms)

    def fired_until(self, before_ms: int) -> None:
        self.profiles.timers.fired_until(before_ms)

    @property
    def timers_in_memory(self) -> int:
        return self.profiles.timers.in_memory

    def fire(self, due: list[Timer], is_unbounded: bool) -> tuple[int, list[Timer]]:
        self.draft.is_bounded = not is_unbounded
        before = len(self.draft.stale)
        looked = Pipeline._fire(self.inner, self.draft, due)
        return looked, self.draft.stale[before:]

    # -- what Python computed ------------------------------------------------------------------------

    def stage(
        self,
        rows: list[tuple[bytes, bytes, int | None, bool, bool]],
        transitions: list[tuple[bytes, bytes]],
        claims: list[tuple[bytes, bytes]],
    ) -> None:
        for key, value, before_ms, is_logged, is_turned in rows:
            if self.row(key) is None:
                self.profiles.add(key, decode_row(value))
            self.profiles.put_back(key, value)
            (self.draft.change if is_logged else self.draft.move_timer)(key, before_ms)
            if is_turned:
                self.draft.turned.add(key)
        self.draft.transitions += [_decode(each) for _, each in transitions]
        self.draft.keys += [key for key, _ in transitions]
        self.draft.claims += [(key, _decode_claim(each)) for key, each in claims]

    def rewind(self) -> None:
        self.profiles.forget(list(self.profiles._young))

    def set_stream_time(self, stream_time_ms: int) -> None:
        self.inner.stream_time_ms = max(self.inner.stream_time_ms, stream_time_ms)

    @property
    def is_full(self) -> bool:
        return self.draft.is_full(self.limits)

    @property
    def emitted(self) -> int:
        return len(self.draft.transitions)

    def finish(self, number: int, most_bytes: int, stale: list[Timer]) -> Made | list[bytes]:
        draft = self.draft
        try:
            staged = self.profiles.stage(draft.changed, draft.local, stale, most_bytes, draft.turned)
        except RowsTooLarge as found:
            return found.keys
        counts = draft.counted()
        emitted = [(key, _encode(each)) for key, each in zip(draft.keys, draft.transitions, strict=True)]
        told = (
            counts.applied,
            counts.repeated,
            0,
            counts.enters,
            counts.exits,
            counts.timers,
            counts.ids_dropped,
        )
        claims = [(key, _encode(each)) for key, each in draft.claims]
        made = Made(number, staged, emitted, claims, told)
        self.unacked += [(number, key, each) for key, each in emitted]
        self.unacked_claims += [(number, key, each) for key, each in claims]
        self.steps.append(made)
        return made

    # -- afterwards ----------------------------------------------------------------------------------

    def outbox(self, key: bytes, number: int) -> bytes | None:
        waiting = [_decode(each) for at, of, each in self.unacked if of == key and at <= number]
        claims = [_decode_claim(each) for at, of, each in self.unacked_claims if of == key and at <= number]
        return encode_outbox(Outbox(number, waiting, claims)) if waiting or claims else None

    def acked(self, made: Made) -> None:
        keys = {key for key, _ in made.emitted_rows}
        self.unacked = [each for each in self.unacked if each[1] not in keys or each[0] > made.number]
        keys = {key for key, _ in made.claim_rows}
        claims = self.unacked_claims
        self.unacked_claims = [each for each in claims if each[1] not in keys or each[0] > made.number]

    def durable(self, number: int) -> None:
        self.durable_steps = sum(each.number <= number for each in self.steps)

    @property
    def durable_rows(self) -> int:
        return sum(each.stored for each in self.steps[: self.durable_steps])

    def flush(self) -> tuple[Any, ...]:
        write = together([each.staged.write for each in self.steps[: self.durable_steps]])
        moved = (
            write.timers_added,
            write.timers_dropped,
            list(write.members_added),
            list(write.members_dropped),
        )
        return list(write.rows), *moved

    def stored(self) -> None:
        profiles = self.profiles
        for made in self.steps[: self.durable_steps]:
            write = made.staged.write
            for key, value in write.rows:
                if profiles._unstored.get(key) is value:
                    del profiles._unstored[key]
                    self.store.write(Write(rows=[(key, value)]))
            profiles.timers.stored(made.staged.number, [*write.timers_dropped, *write.timers_added])
            profiles.members.stored(made.staged.number, [*write.members_dropped, *write.members_added])
        del self.steps[: self.durable_steps]
        self.durable_steps = 0
        profiles.timers.tidy()

    # -- reading -------------------------------------------------------------------------------------

    def unstored_keys(self) -> list[bytes]:
        return self.profiles.unstored_keys()

    @property
    def unstored_rows(self) -> int:
        return self.profiles.unstored_rows

    @property
    def cached_rows(self) -> int:
        return self.profiles.cached_rows

    def sizes(self) -> dict[int, int]:
        return dict(self.profiles.members.sizes)

    def page_search(self, audience: int, after: bytes) -> int:
        return len(self.profiles.members._unstored.get(audience, ()))

    def page(self, audience: int, after: bytes, limit: int, stored: list[bytes]) -> list[bytes]:
        changed = self.profiles.members._unstored.get(audience, {})
        there = [key for key, (_, is_there) in changed.items() if is_there and key > after]
        return sorted([*there, *(key for key in stored if key not in changed)])[:limit]


def stand_in() -> Core:
    """The classes of this module in place of the extension's."""
    here: Any = Core
    return here(
        Rules, Fetched, Partition, None, None, UnknownRule, ValueError, ValueError, partitions_of, None
    )


def partitions_of(user_ids: Sequence[str], partitions: int) -> list[int]:
    return [partition_of(each, partitions) for each in user_ids]
