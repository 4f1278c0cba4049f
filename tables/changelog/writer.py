"""A step to the records of its changelog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from tables.changelog.format import (
    CHUNK_BYTES,
    CHUNKS_HEADER,
    LETTERS_HEADER,
    OUTBOX_HEADER,
    RECORD_BYTES,
    Chunk,
    Chunks,
    Written,
    slot_key,
)
from tables.codec import (
    CHECKPOINT_KEY,
    Checkpoint,
    Outbox,
    UnsentLetters,
    encode_checkpoint,
    encode_letters,
    encode_outbox,
)
from tables.refused import Note

_NO_HEADERS: list[tuple[str, bytes]] = []
_encode = msgspec.msgpack.Encoder().encode


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
        yield from self.head(checkpoint, notes, letters)
        yield from self.rows(rows, outboxes)
        yield from self.tail(end_checkpoint, letters)

    def head(
        self, checkpoint: Checkpoint, notes: Sequence[Note] = (), letters: UnsentLetters | None = None
    ) -> Iterator[Written]:
        """What comes before a step's rows."""
        # Before the checkpoint, which says of all other records that they are taken.
        for key, note in notes:
            yield key, note, _NO_HEADERS
        yield from self.note(checkpoint, letters)

    def rows(
        self, rows: Sequence[tuple[bytes, bytes]], outboxes: Mapping[bytes, Outbox]
    ) -> Iterator[Written]:
        """A step's rows with their outboxes."""
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

    def tail(self, end_checkpoint: Checkpoint, letters: UnsentLetters | None = None) -> Iterator[Written]:
        """What comes after a step's rows."""
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
            yield slot_key(slot), None, _NO_HEADERS

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
            yield slot_key(slot), _encode(Chunk(step, content[start : start + size])), _NO_HEADERS
        yield key, value, [(CHUNKS_HEADER, _encode(Chunks(step, slots)))]

    def _take_slot(self, step: int) -> int:
        slot = self._lowest
        while slot in self._used:
            slot += 1
        self._used[slot] = step
        self._lowest = slot + 1
        return slot
