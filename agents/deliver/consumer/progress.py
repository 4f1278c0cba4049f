"""How far the transitions topic is delivered."""

from __future__ import annotations

from collections import deque

from agents.deliver.content.messages import Message


class Progress:
    """Offsets of one partition since it was assigned."""

    def __init__(self, start: int) -> None:
        self._reached = start
        self._pending: deque[Message] = deque()
        self._hold_until: int | None = None
        """-1: an offset that isn't known yet."""

    @property
    def reached(self) -> int:
        """Offset after the last record that was looked at."""
        return self._reached

    @property
    def span(self) -> int:
        """Messages since the first that isn't done."""
        return len(self._pending)

    @property
    def is_past_hold(self) -> bool:
        """Whether records up to the offset that commits wait for have been looked at."""
        return self._hold_until is not None and self._reached >= self._hold_until

    def add(self, message: Message) -> None:
        self._pending.append(message)

    def reach(self, offset: int) -> None:
        """All records before this offset were looked at."""
        self._reached = offset

    def hold(self, until: int = -1) -> None:
        """Let nothing be committed before all up to this offset is delivered; -1: nothing at all."""
        self._hold_until = until

    def committable_offset(self) -> int | None:
        """Everything before this offset is delivered, refused or filtered out; None: don't commit yet."""
        pending = self._pending
        while pending and pending[0].done:
            pending.popleft()
        offset = pending[0].offset if pending else self._reached
        if self._hold_until is not None:
            if self._hold_until < 0 or offset < self._hold_until:
                return None
            self._hold_until = None
        return offset


class Backlog(dict[int, Progress]):
    """The progress of each assigned partition, by its number."""

    def span(self) -> int:
        """Messages since the first that isn't done, over all partitions."""
        return sum(each.span for each in self.values())
