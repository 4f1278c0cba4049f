"""How far one partition of the transitions topic is delivered."""

from __future__ import annotations

from collections import deque

from agents.deliver.content.messages import Message


class Progress:
    """Offsets of one partition since it was assigned."""

    def __init__(self, start: int) -> None:
        self.reached = start
        """Offset after the last record that was looked at."""
        self.hold_until: int | None = None
        """Nothing may be committed before all up to here is delivered; -1: nothing at all."""
        self._pending: deque[Message] = deque()

    def add(self, message: Message) -> None:
        self._pending.append(message)

    @property
    def span(self) -> int:
        """Jobs since the first that isn't done."""
        return len(self._pending)

    def committable_offset(self) -> int | None:
        """Everything before this offset is delivered, refused or filtered out; None: don't commit yet."""
        pending = self._pending
        while pending and pending[0].done:
            pending.popleft()
        mark = pending[0].offset if pending else self.reached
        if self.hold_until is not None:
            if self.hold_until < 0 or mark < self.hold_until:
                return None
            self.hold_until = None
        return mark
