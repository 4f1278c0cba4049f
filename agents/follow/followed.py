"""One partition of the changelog that is followed into a store, and what may be said of it.

Records are applied as they come, so the store may be in the middle of a step at any moment. That is no harm:
each row is whole by itself, and the checkpoint before the step claims no more than what was there before it.

Compaction does harm to whoever is behind. It takes a row because a newer one lies further on, and until that
one is read the store lacks what the checkpoints on the way claim. Such a gap is seen, because offsets are
missing. Then the store is not *whole* until everything is read that was there when the gap was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.restore.reading import Reading
from agents.warnings import Warnings
from tables.codec import Checkpoint, decode_checkpoint
from tables.cut import CUT_KEY, Cut, decode_cut
from tables.row_store import Write


class ChangelogReplaced(Exception):
    """The changelog went back behind what was read of it: the store doesn't go with it any more."""


@dataclass(slots=True, eq=False)
class Followed:
    """One partition. ``checkpoint`` and ``cut`` are what the store stands for; None: there is none yet."""

    partition: int
    reading: Reading
    whole_from: int
    """The store is whole when it is read up to this offset."""
    checkpoint: Checkpoint | None = None
    cut: Cut | None = None
    end: int = 0
    """Of the changelog, as it was last told."""

    @classmethod
    def of(cls, partition: int, reading: Reading) -> Followed:
        """A store that was just opened: what it remembers may be further than its rows are read again."""
        note = dict(reading.store.notes()).get(CUT_KEY)
        followed = cls(partition, reading, reading.end, None, None if note is None else decode_cut(note))
        followed.end = reading.end
        followed._look()
        return followed

    @property
    def position(self) -> int:
        """Offset of the next record to read."""
        return self.reading.changelog.position

    @property
    def is_whole(self) -> bool:
        return self.position >= self.whole_from

    def take(self, records: Sequence[Any], end: int, warnings: Warnings) -> None:
        """The next records; ``end`` is the changelog's end as it was told with them.

        Raises ChangelogReplaced.
        """
        expected = self.position
        if records[-1].offset + 1 - expected != len(records):
            self.whole_from = max(self.whole_from, end)
        self.end = max(self.end, end)
        for key, value in self.reading.take_notes(records, warnings):
            if key == CUT_KEY and value is not None:
                self.cut = decode_cut(value)
        self._look()

    def reach(self, position: int, end: int) -> None:
        """There is no record before this offset any more that wasn't taken. Raises ChangelogReplaced."""
        self.end = max(self.end, end)
        changelog = self.reading.changelog
        if position > changelog.position:
            self.whole_from = max(self.whole_from, end)
            changelog.position = position
            self.reading.store.write(Write(meta=changelog.meta))
            self._look()

    def _look(self) -> None:
        encoded = self.reading.changelog.checkpoint_bytes
        if not self.is_whole or not encoded:
            return
        checkpoint = decode_checkpoint(encoded)
        before = self.checkpoint.step if self.checkpoint is not None else self._known_step()
        if checkpoint.step < before:
            raise ChangelogReplaced(f"step {checkpoint.step} came after step {before}")
        self.checkpoint = checkpoint

    def _known_step(self) -> int:
        known = self.reading.known.checkpoint
        return decode_checkpoint(known).step if known else 0
