"""The records of a changelog to rows, and to the outputs that are not known to be sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from rules.state.identities import Claim
from rules.state.row import Transition
from tables.changelog.format import (
    CHUNKS_HEADER,
    LETTERS_HEADER,
    OUTBOX_HEADER,
    SLOT,
    ChangelogBroken,
    Chunk,
    Chunks,
    Logged,
    is_row,
)
from tables.codec import (
    CHECKPOINT_KEY,
    Checkpoint,
    Letter,
    Outbox,
    UnsentLetters,
    decode_checkpoint,
    decode_head,
    decode_letters,
    decode_outbox,
)
from tables.cut import CUT_KEY
from tables.erased import is_erasure_note
from tables.member_index import audiences_in, moved
from tables.meta import MEMBER_INDEX, StoreMeta, encode_meta
from tables.refused import PREFIX as REFUSED
from tables.row_store import Member, Write

_decode_chunks = msgspec.msgpack.Decoder(Chunks).decode
_decode_chunk = msgspec.msgpack.Decoder(Chunk).decode


Stored = Callable[[list[bytes]], Sequence[bytes | None]]
"""The rows with these keys, encoded; None: there is none."""


def nothing_stored(keys: list[bytes]) -> Sequence[bytes | None]:
    """Of a store without rows."""
    return [None] * len(keys)


@dataclass(slots=True)
class _Open:
    """Outputs that are not known to be sent: as they were written, or as the names of their chunks."""

    offset: int
    step: int
    outputs: Outbox | UnsentLetters | None
    slots: list[int] = field(default_factory=list)


@dataclass(slots=True)
class ChangelogReader:
    """What a partition's changelog says, read in order from where a store is complete.

    ``position`` is the offset of the next record, ``checkpoint_bytes`` what the store remembers as its
    checkpoint.
    """

    position: int = 0
    checkpoint_bytes: bytes = b""
    changelog_id: bytes = b""
    """Of the topic that is read."""
    rows: int = 0
    """How many records of rows were read."""
    _open: dict[bytes, _Open] = field(default_factory=dict)
    _chunks: dict[int, tuple[int, Chunk]] = field(default_factory=dict)
    """By slot, what is not known to be sent: its offset and the chunk."""
    _slots: set[int] = field(default_factory=set)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The last one."""
        return decode_checkpoint(self.checkpoint_bytes) if self.checkpoint_bytes else None

    @property
    def meta(self) -> bytes:
        """What a store that has all that was read remembers: where a later recovery has to begin.

        No open outbox and no chunk of one may lie before that. A checkpoint of a step that is not read to its
        end speaks of the time before the step, so it never claims too much.
        """
        begins = [each.offset for each in self._open.values()]
        begins += [offset for offset, _ in self._chunks.values()]
        return encode_meta(
            StoreMeta(
                min(begins, default=self.position), self.checkpoint_bytes, self.changelog_id, MEMBER_INDEX
            )
        )

    @property
    def used_slots(self) -> list[int]:
        """Slots that hold something, whether it is still needed or not."""
        return sorted(self._slots)

    def read(self, records: Sequence[Logged], stored: Stored = nothing_stored) -> Write:
        """The change that the next records make to a store; ``stored`` gives the rows that it has now."""
        rows: dict[bytes, bytes | None] = {}
        notes: dict[bytes, bytes | None] = {}
        opened = self._open
        for record in records:
            key, value = record.key, record.value
            if is_row(key):
                rows[key] = value
            elif key == CHECKPOINT_KEY:
                self.checkpoint_bytes = value or self.checkpoint_bytes
            elif key == CUT_KEY or key.startswith(REFUSED) or is_erasure_note(key):
                notes[key] = value
                continue
            else:
                self._chunk(record.offset, key, value)
                continue
            outbox = _open_of(record) if record.headers else None
            if outbox is not None:
                opened[key] = outbox
            elif opened:
                opened.pop(key, None)
        if records:
            self.position = records[-1].offset + 1
        self._close_acknowledged()
        found = [(key, value) for key, value in rows.items() if value is not None]
        deleted = [key for key, value in rows.items() if value is None]
        change = Write(rows=found, deleted=deleted, meta=self.meta, notes=list(notes.items()))
        _index(change, stored)
        self.rows += len(found)
        return change

    def unsent(self) -> list[Transition]:
        """The transitions that are not known to be in Kafka, each user's in order. Raises ChangelogBroken."""
        keys = sorted(key for key in self._open if key != CHECKPOINT_KEY)
        return [each for key in keys for each in self._outbox(key).transitions]

    def unsent_claims(self) -> list[Claim]:
        """The claims of identities that are not known to be in Kafka, likewise. Raises ChangelogBroken."""
        keys = sorted(key for key in self._open if key != CHECKPOINT_KEY)
        return [each for key in keys for each in self._outbox(key).claims]

    def unsent_letters(self) -> list[Letter]:
        """The refused records that are not known to be in Kafka. Raises ChangelogBroken."""
        if CHECKPOINT_KEY not in self._open:
            return []
        outputs = self._open[CHECKPOINT_KEY].outputs
        unsent = (
            outputs if isinstance(outputs, UnsentLetters) else decode_letters(self._content(CHECKPOINT_KEY))
        )
        return unsent.letters

    def _chunk(self, offset: int, key: bytes, value: bytes | None) -> None:
        if key.startswith(SLOT):
            slot = int.from_bytes(key[len(SLOT) :], "big")
            if value is None:
                self._chunks.pop(slot, None)
                self._slots.discard(slot)
            else:
                self._slots.add(slot)
                self._chunks[slot] = offset, _decode_chunk(value)

    def _close_acknowledged(self) -> None:
        if not (self._open or self._chunks) or (checkpoint := self.checkpoint) is None:
            return
        acked = checkpoint.acked_step
        for key in [key for key, each in self._open.items() if each.step <= acked]:
            del self._open[key]
        for slot in [slot for slot, (_, chunk) in self._chunks.items() if chunk.step <= acked]:
            del self._chunks[slot]

    def _outbox(self, key: bytes) -> Outbox:
        outputs = self._open[key].outputs
        return outputs if isinstance(outputs, Outbox) else decode_outbox(self._content(key))

    def _content(self, key: bytes) -> bytes:
        """What the chunks make together."""
        outbox = self._open[key]
        content = b""
        for slot in outbox.slots:
            offset, chunk = self._chunks.get(slot, (-1, None))
            if chunk is None or chunk.step != outbox.step or offset >= outbox.offset:
                raise ChangelogBroken(
                    f"the record of {key!r} at offset {outbox.offset} has its outputs in slot {slot}, which "
                    f"holds nothing of step {outbox.step}: records of the changelog were removed"
                )
            content += chunk.content
        return content


def _index(change: Write, stored: Stored) -> None:
    """Add what the indexes get and lose. Timers that nobody knows of stay: whoever finds one looks at its
    row."""
    due, gone = change.timers_added, change.timers_dropped
    added: list[Member] = []
    dropped: list[Member] = []
    keys = [key for key, _ in change.rows]
    for (key, value), old in zip(change.rows, stored(keys), strict=True):
        head = decode_head(value)
        before_ms, inside = _indexed(old)
        if before_ms is not None and before_ms != head.timer_ms:
            gone.append((before_ms, key))
        if head.timer_ms is not None:
            due.append((head.timer_ms, key))
        moved(key, inside, audiences_in(head.audiences), added, dropped)
    if change.deleted:
        for key, old in zip(change.deleted, stored([*change.deleted]), strict=True):
            before_ms, inside = _indexed(old)
            if before_ms is not None:
                gone.append((before_ms, key))
            moved(key, inside, (), added, dropped)
    change.members_added, change.members_dropped = added, dropped


def _indexed(value: bytes | None) -> tuple[int | None, tuple[int, ...]]:
    """The timer (ms) and the audiences (keys) that the indexes have of an encoded row."""
    if value is None:
        return None, ()
    head = decode_head(value)
    return head.timer_ms, audiences_in(head.audiences)


def _open_of(record: Logged) -> _Open | None:
    for name, value in record.headers:
        if name in (OUTBOX_HEADER, LETTERS_HEADER):
            outputs = decode_outbox(value) if name == OUTBOX_HEADER else decode_letters(value)
            return _Open(record.offset, outputs.step, outputs)
        if name == CHUNKS_HEADER:
            chunks = _decode_chunks(value)
            return _Open(record.offset, chunks.step, None, chunks.slots)
    return None
