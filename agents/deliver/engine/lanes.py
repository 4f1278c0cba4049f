"""One lane: the users that share it, each in order; one that fails waits apart from the others.

Times are seconds of a monotonic clock.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agents.deliver.content.messages import Message


@dataclass(slots=True)
class Parked:
    """A user whose first message failed: it and all behind it, in order."""

    messages: deque[Message]
    due_s: float


@dataclass(slots=True)
class Lane:
    """``failures``: sends in a row of which nothing was taken."""

    number: int
    ready: deque[Message] = field(default_factory=deque)
    parked: dict[str, Parked] = field(default_factory=dict)
    failures: int = 0
    pause_until_s: float = 0.0
    is_sending: bool = False
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, message: Message) -> None:
        self.ready.append(message)
        self._wake.set()

    @contextmanager
    def sending(self) -> Iterator[None]:
        """While a send is under way."""
        self.is_sending = True
        try:
            yield
        finally:
            self.is_sending = False
            self._idle.set()

    async def wait_for_send(self, deadline_s: float) -> None:
        """Until the send under way has ended, or the deadline is over."""
        while self.is_sending and time.monotonic() < deadline_s:
            self._idle.clear()
            try:
                async with asyncio.timeout(max(0.01, deadline_s - time.monotonic())):
                    await self._idle.wait()
            except TimeoutError:
                return

    def take(self, now_s: float, most: int) -> list[Message]:
        """Up to ``most`` messages to send now: those of parked users whose time has come, then the others."""
        batch: list[Message] = []
        if now_s < self.pause_until_s:
            return batch
        if self.parked:
            for user_id in [user for user, each in self.parked.items() if each.due_s <= now_s]:
                waiting = self.parked[user_id].messages
                while waiting and len(batch) < most:
                    batch.append(waiting.popleft())
                if not waiting:
                    del self.parked[user_id]
                if len(batch) >= most:
                    return batch
        ready = self.ready
        if not self.parked:
            while ready and len(batch) < most:
                batch.append(ready.popleft())
            return batch
        while ready and len(batch) < most:
            message = ready.popleft()
            behind = self.parked.get(message.user_id)
            if behind is not None:
                behind.messages.append(message)
            else:
                batch.append(message)
        return batch

    def park(self, messages: list[Message], due_s: float) -> None:
        """Jobs of one user that weren't taken, in order, before any that wait already."""
        user_id = messages[0].user_id
        parked = self.parked.setdefault(user_id, Parked(deque(), due_s))
        parked.due_s = due_s
        parked.messages.extendleft(reversed(messages))

    def next_s(self) -> float | None:
        """When there may be something to send; None: not before a message is added."""
        if self.ready:
            return self.pause_until_s
        if not self.parked:
            return None
        return max(self.pause_until_s, min(each.due_s for each in self.parked.values()))

    async def wait(self, now_s: float) -> None:
        """Until there may be something to send."""
        next_s = self.next_s()
        self._wake.clear()
        if next_s is None:
            await self._wake.wait()
            return
        try:
            async with asyncio.timeout(max(0.0, next_s - now_s)):
                # New messages don't end a pause, nor do they come before a user's time.
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    changed = self.next_s()
                    if changed is None or changed < next_s:
                        return
        except TimeoutError:
            return

    def failed(self) -> None:
        """A send of which nothing was taken."""
        self.failures += 1

    def succeeded(self) -> None:
        self.failures = 0

    def pause(self, until_s: float) -> None:
        """Send nothing before then, or before the end of a pause that lasts longer."""
        self.pause_until_s = max(self.pause_until_s, until_s)

    def revive(self, at_s: float) -> None:
        """The destination takes again: don't wait out what was begun while it didn't."""
        self.pause_until_s = min(self.pause_until_s, at_s)
        for each in self.parked.values():
            each.due_s = min(each.due_s, at_s)
        self._wake.set()

    def clear(self) -> None:
        self.ready.clear()
        self.parked.clear()
        self.failures = 0
        self.pause_until_s = 0.0
