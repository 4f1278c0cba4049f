"""The changelog of one partition, the only place that knows its format: a step to records, records to rows.

A step is written as these records, in this order:

    notes                of records that are refused for their timestamps (``tables.refused``)
    checkpoint           the time before the step, and the step up to which every output is known to be in
                         Kafka; in a header, dead letters of records that were refused because of their row
    freed slots          records without a value
    chunks of outboxes   only where an outbox is too large to go with its row
    rows                 each with its outbox: the transitions that are not known to be in Kafka
    end checkpoint       the time after the step; with the same header

A row's record carries its outbox in a header, so that no crash parts the two and compaction takes both at
once. Where the record would be larger than the topic takes, the outbox goes before the row, cut into chunks,
and the header ``outbox.chunks`` says where they are. Chunks have keys of their own, the *slots*, the lowest
free ones. A slot is free when a checkpoint that stands before its next use says that the step which used it
is acknowledged; so compaction takes no chunk that recovery needs, and there are never more slots than the
largest commit cycle needed. A chunk whose row never came has the number of a step that no row names: it is
never sent.

A record that is refused because of its user's row (``row_too_large``) is not looked at again after a crash
when the row, or the end checkpoint, speaks of later records. So it waits with the checkpoints as transitions
do with rows, in chunks where it is large.

Keys of rows: ``tables.codec.row_key``. All other keys begin with two NULs, which no row's key does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from rules.state.row import Transition
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
    encode_checkpoint,
    encode_letters,
    encode_outbox,
)
from tables.meta import StoreMeta, encode_meta
from tables.refused import PREFIX as REFUSED
from tables.refused import Note
from tables.store import Write

OUTBOX_HEADER = "outbox"
CHUNKS_HEADER = "outbox.chunks"
LETTERS_HEADER = "refused"
_INTERNAL = b"\x00\x00"
_SLOT = b"\x00\x00outbox\x00"
RECORD_BYTES = 256
"""What a record has beside key, value and headers' values: lengths, names, and the head of a produce batch
that holds nothing else (61 bytes in format 2)."""

CHUNK_BYTES = 32
"""What a chunk has beside its content: its key and its step."""

Headers = Sequence[tuple[str, bytes]]
_NO_HEADERS: list[tuple[str, bytes]] = []

Written = tuple[bytes, bytes | None, list[tuple[str, bytes]]]
"""Key, value and headers of a record to write."""


class ChangelogBroken(Exception):
    """A row names a chunk of its outbox that is not there: records were removed otherwise than by us."""


class Logged(Protocol):
    """A changelog record as the consumer gives it."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class _Chunks(msgspec.Struct, array_like=True):
    """The header of a row whose outbox is in chunks: their slots, in order."""

    step: int
    slots: list[int]


class _Chunk(msgspec.Struct, array_like=True):
    step: int
    content: bytes
    """A part of what ``encode_outbox`` gives."""


_encode = msgspec.msgpack.Encoder().encode
_decode_chunks = msgspec.msgpack.Decoder(_Chunks).decode
_decode_chunk = msgspec.msgpack.Decoder(_Chunk).decode


def is_row(key: bytes) -> bool:
    """Whether a changelog record with this key is a user's row (without a value: a deleted one)."""
    return not key.startswith(_INTERNAL)


def largest_row_bytes(record_bytes: int) -> int:
    """How many bytes of key and row surely fit into a changelog that takes records of ``record_bytes``.

    The last quarter is for the names of the outbox's chunks; that is room for those of gigabytes.
    """
    return record_bytes * 3 // 4 - RECORD_BYTES


class ChangelogWriter:
    """Makes the records of a partition's steps. ``record_bytes`` is what the topic takes at most.

    ``used_slots`` are those that recovery found in use: they are freed with the first checkpoint.
    """

    def __init__(self, record_bytes: int, used_slots: Iterable[int] = ()) -> None:
        self.record_bytes = record_bytes
        self._used: dict[int, int] = dict.fromkeys(used_slots, 0)
        """Slots with a chunk, and the last step that wrote one there."""
        self._lowest = 0
        """No slot below this one is free."""
        self._has_begun = False

    def step(
        self,
        checkpoint: Checkpoint,
        rows: Sequence[tuple[bytes, bytes]],
        outboxes: Mapping[bytes, Outbox],
        end_checkpoint: Checkpoint,
        notes: Sequence[Note] = (),
        letters: UnsentLetters | None = None,
    ) -> Iterator[Written]:
        """The records of one step. Both checkpoints say what is acknowledged now."""
        # Before the checkpoint, which says of all other records that they are taken.
        for key, note in notes:
            yield key, note, _NO_HEADERS
        yield from self.note(checkpoint, letters)
        if outboxes:
            for key, value in rows:
                outbox = outboxes.get(key)
                if outbox is None:
                    yield key, value, _NO_HEADERS
                else:
                    content = encode_outbox(outbox)
                    yield from self._with_outputs(key, value, OUTBOX_HEADER, outbox.step, content)
        else:
            for key, value in rows:
                yield key, value, _NO_HEADERS
        yield from self._checkpoint(end_checkpoint, letters)

    def note(self, checkpoint: Checkpoint, letters: UnsentLetters | None = None) -> Iterator[Written]:
        """A checkpoint, and with it the end of the slots whose steps it says to be acknowledged."""
        if not self._has_begun and letters is not None:
            # Recovery may have begun after chunks that no checkpoint says to be acknowledged yet. All in them
            # is sent, but their slots aren't known, and chunks of letters go before their own checkpoint.
            yield CHECKPOINT_KEY, encode_checkpoint(checkpoint), _NO_HEADERS
        self._has_begun = True
        yield from self._checkpoint(checkpoint, letters)
        for slot in [slot for slot, step in self._used.items() if step <= checkpoint.acked_step]:
            del self._used[slot]
            self._lowest = min(self._lowest, slot)
            yield _slot_key(slot), None, _NO_HEADERS

    def _checkpoint(self, checkpoint: Checkpoint, letters: UnsentLetters | None) -> Iterator[Written]:
        value = encode_checkpoint(checkpoint)
        if letters is None:
            yield CHECKPOINT_KEY, value, _NO_HEADERS
        else:
            content = encode_letters(letters)
            yield from self._with_outputs(CHECKPOINT_KEY, value, LETTERS_HEADER, letters.step, content)

    def _with_outputs(
        self, key: bytes, value: bytes, header: str, step: int, content: bytes
    ) -> Iterator[Written]:
        room = self.record_bytes - RECORD_BYTES
        if len(key) + len(value) + len(content) <= room:
            yield key, value, [(header, content)]
            return
        size = max(1, room - CHUNK_BYTES)
        slots: list[int] = []
        for start in range(0, len(content), size):
            slot = self._take_slot(step)
            slots.append(slot)
            yield _slot_key(slot), _encode(_Chunk(step, content[start : start + size])), _NO_HEADERS
        yield key, value, [(CHUNKS_HEADER, _encode(_Chunks(step, slots)))]

    def _take_slot(self, step: int) -> int:
        slot = self._lowest
        while slot in self._used:
            slot += 1
        self._used[slot] = step
        self._lowest = slot + 1
        return slot


def _slot_key(slot: int) -> bytes:
    return _SLOT + slot.to_bytes(4, "big")


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
    _chunks: dict[int, tuple[int, _Chunk]] = field(default_factory=dict)
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
            StoreMeta(min(begins, default=self.position), self.checkpoint_bytes, self.changelog_id)
        )

    @property
    def used_slots(self) -> list[int]:
        """Slots that hold something, whether it is still needed or not."""
        return sorted(self._slots)

    def read(self, records: Sequence[Logged]) -> Write:
        """The change that the next records make to a store."""
        rows: dict[bytes, bytes | None] = {}
        notes: dict[bytes, bytes | None] = {}
        opened = self._open
        for record in records:
            key, value = record.key, record.value
            if is_row(key):
                rows[key] = value
            elif key == CHECKPOINT_KEY:
                self.checkpoint_bytes = value or self.checkpoint_bytes
            elif key.startswith(REFUSED):
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
        heads = ((key, decode_head(value)) for key, value in found)
        due = [(head.timer_ms, key) for key, head in heads if head.timer_ms is not None]
        self.rows += len(found)
        return Write(rows=found, deleted=deleted, timers_added=due, meta=self.meta, notes=list(notes.items()))

    def unsent(self) -> list[Transition]:
        """The transitions that are not known to be in Kafka, each user's in order. Raises ChangelogBroken."""
        keys = sorted(key for key in self._open if key != CHECKPOINT_KEY)
        return [each for key in keys for each in self._outbox(key).transitions]

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
        if key.startswith(_SLOT):
            slot = int.from_bytes(key[len(_SLOT) :], "big")
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


def _open_of(record: Logged) -> _Open | None:
    for name, value in record.headers:
        if name in (OUTBOX_HEADER, LETTERS_HEADER):
            outputs = decode_outbox(value) if name == OUTBOX_HEADER else decode_letters(value)
            return _Open(record.offset, outputs.step, outputs)
        if name == CHUNKS_HEADER:
            chunks = _decode_chunks(value)
            return _Open(record.offset, chunks.step, None, chunks.slots)
    return None
