"""One partition while its changelog is read into its store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.restore.foreign_records import foreign
from agents.warnings import Warnings
from tables.changelog.reader import ChangelogReader, Stored
from tables.meta import StoreMeta
from tables.refused import Note
from tables.store import RocksStore, Write


@dataclass(slots=True)
class Reading:
    """A store, and its changelog up to ``end``."""

    store: RocksStore
    changelog: ChangelogReader
    end: int
    known: StoreMeta
    """What the store remembered when it was opened."""

    def take(self, records: Sequence[Any], warnings: Warnings) -> int:
        """Write what the next records change to the store; how many rows came."""
        before = self.changelog.rows
        self.take_notes(records, warnings)
        return self.changelog.rows - before

    def take_notes(self, records: Sequence[Any], warnings: Warnings) -> Sequence[Note]:
        """Likewise; the notes among them."""
        change = _read_ours(self.changelog, records, self.store.get_many, warnings)
        self.store.write(change)
        return change.notes


def _read_ours(
    changelog: ChangelogReader, records: Sequence[Any], stored: Stored, warnings: Warnings
) -> Write:
    """What the records change, but for those that no worker of ours wrote: ``warnings`` is told of these.

    They are looked for only when the records can't be read. What is read twice says the same twice.
    """
    checkpoint_bytes = changelog.checkpoint_bytes
    try:
        change = changelog.read(records, stored)
        if changelog.checkpoint_bytes != checkpoint_bytes:
            _ = changelog.checkpoint
        return change
    except Exception:
        ours = [each for each in records if not _is_foreign(each, warnings)]
        if len(ours) == len(records):
            raise
        changelog.checkpoint_bytes = checkpoint_bytes
        return changelog.read(ours, stored)


def _is_foreign(record: Any, warnings: Warnings) -> bool:
    fault = foreign(record)
    if fault is not None:
        place = f"{record.topic}/{record.partition}@{record.offset}"
        text = f"no worker wrote this record, and the row before it stays: {fault}"
        warnings.note("changelog_foreign", place, text)
    return fault is not None
