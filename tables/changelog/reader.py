"""The records of a changelog to rows, and to the outputs that are not known to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

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
from tables.meta import StoreMeta, encode_meta
from tables.refused import PREFIX as REFUSED
from tables.store import Write

_decode_chunks = msgspec.msgpack.Decoder(Chunks).decode
_decode_chunk = msgspec.msgpack.Decoder(Chunk).decode


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


def _open_of(record: Logged) -> _Open | None:
    for name, value in record.headers:
        if name in (OUTBOX_HEADER, LETTERS_HEADER):
            outputs = decode_outbox(value) if name == OUTBOX_HEADER else decode_letters(value)
            return _Open(record.offset, outputs.step, outputs)
        if name == CHUNKS_HEADER:
            chunks = _decode_chunks(value)
            return _Open(record.offset, chunks.step, None, chunks.slots)
    return None
