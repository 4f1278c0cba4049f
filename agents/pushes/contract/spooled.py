"""A list that lies on this machine's disk, whole, and never changes again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.pushes.contract.push import Push


@dataclass(frozen=True, slots=True)
class SpooledPart:
    """The rows of one partition of the table."""

    partition: int
    path: Path
    members: int
    rows: int
    bytes: int
    sha256: str
    """Of the file, in hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class SpooledList:
    """``run_id`` is the run's; a run that had to begin anew has another ``list_id``, and another instant.

    A list is told by its ``list_id`` alone: whatever a target has under another one isn't of this list.
    """

    run_id: str
    list_id: str
    push: Push
    instant_ms: int
    """Everybody who was in the audience then is in the list, and nobody else."""
    header: bytes
    is_framed: bool
    parts: tuple[SpooledPart, ...]
    """In the order of the partitions; some may have no rows."""
    by_id: Mapping[str, int]
    """Rows by type of id."""
    without: Mapping[str, int]
    """Members without an id, by its type."""

    @property
    def members(self) -> int:
        return sum(each.members for each in self.parts)

    @property
    def rows(self) -> int:
        """Of all ids together."""
        return sum(each.rows for each in self.parts)

    @property
    def bytes(self) -> int:
        """Without the header."""
        return sum(each.bytes for each in self.parts)
