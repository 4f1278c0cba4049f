"""What goes through Faust in the place of single records: a poll, and its batches of one partition each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from faust.types import TP, ConsumerMessage

from agents.kafka.consumed import Consumed


class Poll(ConsumerMessage):
    """What one poll brought: the message that goes through Faust. It bears the names of its first batch."""

    batches: list[Batch]


@dataclass(slots=True, eq=False)
class Batch:
    """Records of one partition from one poll, in log order."""

    poll: Poll
    tp: TP
    records: Sequence[Consumed]
    """At least one; ``RawRecords`` where the native engine computes."""
    acked: bool = False

    @property
    def next_offset(self) -> int:
        return self.records[-1].offset + 1
