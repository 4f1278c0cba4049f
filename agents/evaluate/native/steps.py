"""Steps that the core made, for all who read steps: transitions and rows become objects when they are
asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby
from time import time_ns
from typing import TYPE_CHECKING

import msgspec

from agents.evaluate.jobs import Parts
from agents.evaluate.native.core import Stamp
from agents.evaluate.on_demand import OnDemand
from agents.evaluate.outgoing import Outgoing
from agents.evaluate.partition.state import Recovered
from agents.evaluate.steps import Counts, Draft, Finished, Limits, Step
from rules.state.identities import Claim
from rules.state.row import Transition
from tables.changelog.format import RECORD_BYTES, Written
from tables.codec import Outbox, decode_outbox
from tables.profiles import Staged
from tables.row_store import Timer, Write

if TYPE_CHECKING:
    from turnstile_core import Made
    from turnstile_core import Partition as Core

    from agents.kafka.raw.hooks import Ready

_decode_transition = msgspec.msgpack.Decoder(Transition).decode
_decode_claim = msgspec.msgpack.Decoder(Claim).decode


@dataclass(slots=True)
class NativeStaged(Staged):
    """``made`` has the rows."""

    made: Made


@dataclass(frozen=True, slots=True)
class FinishedOutputs:
    """``agents.evaluate.steps.Finished``: transitions and claims that were never objects."""

    made: Made
    stamp: Stamp

    def transitions(
        self, later: Sequence[Finished], partition: int, partitions: int | None, most_bytes: int
    ) -> Parts[list[tuple[int, Ready]]]:
        from agents.kafka.raw.hooks import Ready  # only here: it needs aiokafka, and simulations don't

        steps = [each.made for each in later if isinstance(each, FinishedOutputs)]
        assert len(steps) == len(later), "steps of another engine"
        found = yield partial(self.made.outputs, steps, partition, partitions, most_bytes)
        return [(target, Ready(batch, records, self.stamp, False)) for target, batch, records in found]

    def claims(self, partitions: int, most_bytes: int) -> Iterator[tuple[int, Ready]]:
        if not self.made.claimed:
            return
        from agents.kafka.raw.hooks import Ready  # as above

        for target, batch, records in self.made.claim_outputs(partitions, most_bytes):
            yield target, Ready(batch, records, self.stamp, False)

    def moves(self) -> Sequence[tuple[bool, str, str, int]]:
        return self.made.moves()


@dataclass(slots=True)
class NativeDraft(Draft):
    """A draft whose step is in the core. What Python computes is in the fields of ``Draft`` until it is
    handed over."""

    core: Core = field(kw_only=True)
    due: Sequence[Timer] | None = None
    """The timers that the core fired."""
    made: Made | None = None
    """The step, once it is staged."""
    ahead: Made | list[bytes] | None = None
    """What the core made of the draft ahead of ``stage``: as of ``Partition.finish`` there."""
    stamp: Stamp | None = None

    def is_full(self, limits: Limits) -> bool:
        return Draft.is_full(self, limits) or (self.is_bounded and self.core.is_full)

    @property
    def emitted(self) -> Sequence[Transition]:
        made = self._staged()
        return OnDemand(made.emitted, lambda: [_decode_transition(each) for _, each in made.transitions()])

    @property
    def emitted_by(self) -> Sequence[bytes]:
        made = self._staged()
        return OnDemand(made.emitted, lambda: [key for key, _ in made.transitions()])

    @property
    def claimed(self) -> Sequence[tuple[bytes, Claim]]:
        made = self._staged()
        return OnDemand(made.claimed, lambda: [(key, _decode_claim(each)) for key, each in made.claims()])

    @property
    def finished(self) -> FinishedOutputs | None:
        return None if self.stamp is None else FinishedOutputs(self._staged(), self.stamp)

    def handed_over(self) -> None:
        """The core has what Python computed so far."""
        self.changed, self.local, self.turned = {}, {}, set()
        self.transitions, self.keys, self.claims = [], [], []

    def counted(self) -> Counts:
        counts = Draft.counted(self)
        applied, repeated, _, counts.enters, counts.exits, timers, ids_dropped = self._staged().counts
        counts.applied += applied
        counts.repeated += repeated
        counts.timers += timers
        counts.ids_dropped += ids_dropped
        return counts

    def _staged(self) -> Made:
        assert self.made is not None, "the draft is not staged"
        return self.made


def staged(made: Made, stale: list[Timer]) -> NativeStaged:
    """What the store and the changelog get of a step."""
    rows = OnDemand(made.changed, made.rows)
    stored: Sequence[tuple[bytes, bytes]] = OnDemand(made.stored - len(stale), made.rows)
    return NativeStaged(made.number, rows, Write(rows=stored, timers_dropped=stale), made)


class NativeOutgoing(Outgoing):
    """``Outgoing`` whose transitions wait in the core."""

    def __init__(self, recovered: Recovered, record_bytes: int, core: Core, stamp: Stamp | None) -> None:
        super().__init__(recovered, record_bytes)
        self._core = core
        self._stamp = stamp

    def logging(self, steps: Sequence[Step], batch_bytes: int) -> Parts[list[Iterable[Written | Ready]]]:
        found: list[Iterable[Written | Ready]] = []
        for is_plain, some in groupby(steps, self._is_plain):
            if is_plain:
                found += yield from self._batches(list(some), batch_bytes)
            else:
                found += map(self.records, some)
        return found

    def _is_plain(self, step: Step) -> bool:
        """The core has all that the changelog gets of it, but for notes and checkpoints."""
        return self._stamp is not None and isinstance(step.staged, NativeStaged) and not self.letters(step)

    def _batches(self, steps: list[Step], batch_bytes: int) -> Parts[list[Iterable[Written | Ready]]]:
        from agents.kafka.raw.hooks import Ready  # as above

        writer, stamp = self.writer, self._stamp
        given = []
        for step in steps:
            self.note_acked(step)
            head = list(writer.head(step.checkpoint, step.staged.write.notes))
            given.append((_made(step), head, list(writer.tail(step.end_checkpoint))))
        room, now_ms = writer.record_bytes - RECORD_BYTES, time_ns() // 1_000_000
        found = yield partial(self._core.changelog, given, now_ms, room, batch_bytes)
        if found is not None and stamp is not None:
            return [[Ready(batch, records, stamp, False) for batch, records in found]]
        return [
            chain(head, writer.rows(step.staged.rows, self._outboxes(step)), tail)
            for step, (_, head, tail) in zip(steps, given, strict=True)
        ]

    def made(self, step: int, draft: Draft) -> None:
        super().made(step, draft)
        if draft.emitted or draft.claimed:
            self._telling_step = step

    def acked(self, step: Step) -> None:
        super().acked(step)
        if isinstance(step.staged, NativeStaged):
            self._core.acked(step.staged.made)

    def _keys_of(self, step: Step) -> set[bytes]:
        return set()  # the core knows them

    def _outboxes(self, step: Step) -> dict[bytes, Outbox]:
        found = {key: self._core.outbox(key, step.number) for key, _ in step.staged.rows}
        return {key: decode_outbox(each) for key, each in found.items() if each is not None}


def _made(step: Step) -> Made:
    assert isinstance(step.staged, NativeStaged)
    return step.staged.made
