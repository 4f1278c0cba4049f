"""One pass over the log: the records of a range of users are kept in memory, and all users are counted.

Memory is bounded: when the kept records fill it, the range is cut to the next smaller look, and what lies
beyond it is another pass's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from agents.estimate.frame import SPAN, Frame
from agents.estimate.log import Log
from agents.estimate.sieve import Sieve, glance_at
from agents.evaluate.steps import Record

KEPT_BYTES: Final = 256 * 1024 * 1024
RECORD_BYTES: Final = 300
"""Of a kept record, besides its key and value."""
USER_BYTES: Final = 400
"""Of a user, in this module's sets."""


class Kept(msgspec.Struct, gc=False):
    """A record of a sampled user. ``source_ms`` is the highest timestamp of its source up to it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    source_ms: int
    user_hash: int
    user_id: str


@dataclass(slots=True)
class Range:
    """The users whose hashes are from ``low`` on and below ``high``, with their records."""

    low: int
    high: int
    users: dict[str, int] = field(default_factory=dict)
    """The hash of each."""
    seen: dict[str, dict[str, int]] = field(default_factory=dict)
    """Per project, the hashes of users who surely have a row, and were not erased since, though perhaps no
    record that concerns the rules."""
    records: list[Kept] = field(default_factory=list)
    size_bytes: int = 0
    log_ms: int = 0
    """The highest timestamp of the whole log."""
    history_from_ms: int | None = None
    """From when on all of the history is there; None: from its begin."""

    def part(self, low: int, high: int) -> Range:
        """Those of a smaller range."""
        users = {user: each for user, each in self.users.items() if low <= each < high}
        seen = {
            project: {user: each for user, each in seen.items() if low <= each < high}
            for project, seen in self.seen.items()
        }
        records = [each for each in self.records if low <= each.user_hash < high]
        return Range(low, high, users, seen, records, 0, self.log_ms)

    def parts(self, bounds: Sequence[int]) -> list[Range]:
        """Those up to each of the bounds, which ascend to the range's end."""
        rest, found = self, list[Range]()
        for low in reversed(bounds[:-1]):  # from the largest on, because each look halves what is left
            found.append(rest.part(low, rest.high))
            rest = rest.part(rest.low, low)
        return [rest, *reversed(found)]

    def cut(self, looks: Iterable[int]) -> None:
        """Be smaller: end at the last look before the end, or in the middle where there is none."""
        inside = [each for each in looks if self.low < each < self.high]
        smaller = self.part(self.low, max(inside, default=(self.low + self.high) // 2))
        self.high, self.users = smaller.high, smaller.users
        self.seen, self.records = smaller.seen, smaller.records
        self.size_bytes = len(self.users) * USER_BYTES + sum(map(_size, self.records))


HALVES: Final = [SPAN >> each for each in range(1, 40)]
"""Every look that any number of users can have."""


class Pass:
    """Reads the log once, from users with the hash ``low`` on."""

    def __init__(self, log: Log, frame: Frame, sieve: Sieve, low: int, latest_ms: int) -> None:
        """``latest_ms``: records with later timestamps are dead letters."""
        self.range = Range(low, SPAN)
        self._log = log
        self._frame = frame
        self._sieve = sieve
        self._latest_ms = latest_ms
        self._clocks: dict[tuple[str, int], int] = {}
        self._first_ms: dict[tuple[str, int], int] = {}
        """Timestamp of the first record, by source."""
        self._begun: dict[tuple[str, int], set[tuple[str, str]]] = {}
        """Per source, the users of whom a first record is kept, where that matters."""

    async def run(self, most_bytes: int, told: Callable[[int], None]) -> Range:
        """``told`` gets how many records were read."""
        done = 0
        async for records in self._log.read():
            for at in range(0, len(records), 10_000):
                some = records[at : at + 10_000]
                self._take(some)
                while self.range.size_bytes > most_bytes and self.range.high - self.range.low > 1:
                    self._cut()
                done += len(some)
                told(done)
                await asyncio.sleep(0)
        self.range.log_ms = max(self._clocks.values(), default=0)
        self.range.history_from_ms = self._history_from_ms()
        return self.range

    def _history_from_ms(self) -> int | None:
        gone = [self._first_ms[each] for each in self._log.cut_short if each in self._first_ms]
        before = [each for (topic, _), each in self._first_ms.items() if topic in self._log.history]
        return min(max(gone), *before) if gone and before else max(gone, default=None)

    def _cut(self) -> None:
        self.range.cut(HALVES)
        hash_of, high = self._frame.hash_of, self.range.high
        for source, begun in self._begun.items():
            self._begun[source] = {each for each in begun if hash_of(each[1]) < high}

    def _take(self, records: Sequence[Record]) -> None:
        if not records:
            return
        first, latest_ms = records[0], self._latest_ms
        source = first.topic, first.partition
        source_ms = self._clocks.get(source, 0)
        self._first_ms.setdefault(source, first.timestamp)
        begun = self._begun.setdefault(source, set())
        is_native = first.topic not in self._sieve.limits.formats
        hash_of, low, high = self._frame.hash_of, self.range.low, self.range.high
        projects, seen = self._sieve.projects, self.range.seen
        for record in records:
            if record.timestamp > source_ms:
                if record.timestamp > latest_ms:
                    continue
                source_ms = record.timestamp
            glance = glance_at(record) if is_native else None
            if glance is None:
                self._keep_unread(record, source_ms)
                continue
            user_id, project = glance.user_id, glance.project
            if type(user_id) is not str:
                user_id = str(user_id)
            user_hash = hash_of(user_id)
            if user_hash < low or user_hash >= high:
                continue
            watched = projects.get(project)
            if watched is None:
                self._meet(user_id, user_hash)
            elif watched.may_concern(glance):
                if glance.type == "delete" and self._sieve.is_readable(record):
                    begun.discard((project, user_id))  # whoever comes back is new
                    seen.get(project, {}).pop(user_id, None)
                self._keep(record, source_ms, user_id, user_hash)
            elif watched.first:
                if (project, user_id) not in begun:
                    if self._sieve.is_readable(record):
                        begun.add((project, user_id))
                    self._keep(record, source_ms, user_id, user_hash)
            elif user_id not in (known := seen.setdefault(project, {})) and self._sieve.is_readable(record):
                known[user_id] = user_hash
                self._meet(user_id, user_hash)
        self._clocks[source] = source_ms

    def _keep_unread(self, record: Record, source_ms: int) -> None:
        """One whose users only its format can tell."""
        for user_id in dict.fromkeys(self._sieve.users_of(record)):
            user_hash = self._frame.hash_of(user_id)
            if self.range.low <= user_hash < self.range.high:
                self._keep(record, source_ms, user_id, user_hash)

    def _keep(self, record: Record, source_ms: int, user_id: str, user_hash: int) -> None:
        made = Kept(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
            source_ms,
            user_hash,
            user_id,
        )
        self._meet(user_id, user_hash)
        self.range.records.append(made)
        self.range.size_bytes += _size(made)

    def _meet(self, user_id: str, user_hash: int) -> None:
        """A user of the range, kept records or none."""
        if user_id not in self.range.users:
            self.range.users[user_id] = user_hash
            self.range.size_bytes += USER_BYTES


def _size(record: Kept) -> int:
    return RECORD_BYTES + len(record.value or b"") + len(record.key or b"")
