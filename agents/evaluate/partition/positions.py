"""How far one partition of the table is in each of its source partitions."""

from __future__ import annotations

from agents.evaluate.steps import Record
from tables.codec import Checkpoint, record_print


class Positions:
    """By source partition (``tables.codec.source_key``), the last record taken."""

    def __init__(self, recovered: Checkpoint | None) -> None:
        self.offsets: dict[int, int] = dict(recovered.positions) if recovered else {}
        self.prints: dict[int, int] = dict(recovered.ground.prints) if recovered else {}
        """``record_print`` of the record at that offset."""
        self.recovered: dict[int, int] = dict(self.offsets)
        """The offsets as recovery found them: an earlier life of the partition took what is up to there."""

    def take(self, source: int, last: Record) -> None:
        """All records up to this one are taken. Never back: records that come again were taken before."""
        if last.offset >= self.offsets.get(source, -1):
            self.offsets[source] = last.offset
            self.prints[source] = record_print(last.timestamp, last.key, last.value)

    def go_back(self, offsets: dict[int, int], prints: dict[int, int]) -> None:
        """Be where these say, as if nothing had been taken since."""
        self.offsets, self.prints = dict(offsets), dict(prints)
