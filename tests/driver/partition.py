"""One partition under the test driver: what outlives a crash, and the real committer and recovery over it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.evaluate.commits import Work
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import DeadLetter, Step
from agents.restore.resend import send_again
from agents.restore.restorer import Restorer
from tables.codec import decode_row
from tables.store import MemoryStore, RocksMemory, RocksStore, RowStore, StoreBroken, Timer, Write
from tests.driver.kafka import Consumer, Headers, run

if TYPE_CHECKING:
    from tests.driver.driver import Driver

EVENTS, REPARTITION = "events", "rekeyed"
CHANGELOG, TRANSITIONS, DEAD_LETTERS = "changelog", "transitions", ".dlq"
IDENTITIES = "identities"
Logged = tuple[int, bytes, bytes | None, Headers]
"""(offset, key, value, headers) of a changelog record."""


Which = tuple[str, int, int, str, bytes | None]
"""Origin of a dead letter, its code and its value."""


def letters_name(letter: DeadLetter) -> Which:
    """What a letter is known by: several parts of one record may be refused."""
    return (*letter.origin, letter.code, letter.record.value)


@dataclass(frozen=True)
class Rec:
    """A Kafka record as the consumer gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True)
class Until:
    """Time moved by hand, for at most ``limit`` users at once; ``anew`` after each restart."""

    to_ms: int
    limit: int = 500


class Crash(Exception):
    """The process ends here: what is written is written."""


class CrashingStore:
    """A store before whose writes the process may end."""

    def __init__(self, driver: Driver, kept: RowStore) -> None:
        self._driver = driver
        self.kept = kept

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return self.kept.get_many(keys)

    get_many_aside = get_many

    def scan(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return self.kept.scan(after, limit)

    def timers(self, from_ms: int, before_ms: int, limit: int) -> list[Timer]:
        return self.kept.timers(from_ms, before_ms, limit)

    def members(self, audience: int, after: bytes, limit: int) -> list[bytes]:
        return self.kept.members(audience, after, limit)

    def sizes(self) -> dict[int, int]:
        return self.kept.sizes()

    def clear_members(self) -> None:
        self._driver.write()
        self.kept.clear_members()

    def meta(self) -> bytes | None:
        return self.kept.meta()

    def notes(self) -> list[tuple[bytes, bytes]]:
        return self.kept.notes()

    def broken(self, text: str) -> StoreBroken:
        return self.kept.broken(text)

    def write(self, change: Write) -> None:
        self._driver.write()
        self.kept.write(change)

    def close(self) -> None:
        """``Part`` closes what it keeps."""


class PartRestorer(Restorer):
    """The worker's recovery, with the store that the part keeps."""

    def __init__(self, part: Part, chunk: int) -> None:
        driver = part.driver
        new_consumer: Any = partial(Consumer, driver.log, chunk)
        super().__init__(
            new_consumer,
            Path(),
            ROCKS,
            driver.topics,
            driver.limits,
            driver.cache_rows,
            engine=driver.engine(),
        )
        self._part = part

    def _open_store(self, path: Path) -> tuple[Any, bytes | None]:
        return CrashingStore(self._part.driver, self._part.store), self._part.store.meta()


class Part:
    """One partition: its topics and store outlive the process, the rest doesn't."""

    pipeline: Pipeline

    def __init__(self, driver: Driver, number: int, directory: Path | None) -> None:
        self.driver = driver
        self.number = number
        self.path = directory / str(number) if directory is not None else None
        self.inbox: deque[Rec | Until] = deque()
        self.computed: deque[tuple[Step, list[Rec | Until]]] = deque()
        self.durable: list[Rec | Until] = []
        """Taken and durable, but the source offset isn't committed."""
        self.idle_ms = 0
        self.store = self._open_store(lose=True)
        self._recover(chunk=1000)

    @property
    def changelog(self) -> list[Logged]:
        records = self.driver.log(CHANGELOG, self.number).records
        return [(each.offset, each.key, each.value, each.headers) for each in records]

    # -- steps -------------------------------------------------------------------------------------------

    def take(self, size: int) -> bool:
        """Compute one step: a batch of one log, or a slice of time."""
        if not self.inbox:
            return False
        burial = self.pipeline.bury()
        if burial is not None:
            self.computed.append((burial, []))
        first = self.inbox[0]
        if isinstance(first, Until):
            step = self.pipeline.punctuate(first.to_ms, first.limit)
            taken: list[Rec | Until] = [first]
            if not self.pipeline.overdue:
                self.inbox.popleft()
        else:
            records: list[Rec] = []
            for record in self.inbox:
                if isinstance(record, Until) or record.topic != first.topic or len(records) == size:
                    break
                records.append(record)
            draft = self.pipeline.begin()
            del records[self.pipeline.feed(draft, records, self.driver.latest_ms) :]
            step = self.pipeline.finish(draft)
            taken = [self.inbox.popleft() for _ in records]
        assert (step.counts.dead, step.counts.repartitioned) == (len(step.dead), len(step.repartitioned))
        self.check_members()
        self.computed.append((step, taken))
        if len(self.computed) >= self.driver.in_flight + self.driver.cycle_steps:
            self._commit()
        return True

    def commit_all(self) -> None:
        while self.computed:
            self._commit()
        if self.pipeline.outgoing.is_unnoted and self.driver.notes:
            run(self.driver.committer.commit([Work(self.pipeline, is_note=True)]))

    def _commit(self) -> None:
        """A commit cycle: the oldest steps, some at once."""
        driver = self.driver
        some = min(driver.cycle_steps, len(self.computed))
        cycle = [self.computed[at] for at in range(some)]
        work = Work(self.pipeline, [step for step, _ in cycle], [partial(self._acked, some)])
        for step in work.steps:
            driver.dead_to_come |= {letters_name(letter): letter for letter in step.dead}
        try:
            run(driver.committer.commit([work]))
        finally:
            driver.deliver()
        driver.repeated += sum(step.counts.repeated for step in work.steps)

    def _acked(self, steps: int) -> None:
        self.driver.write()
        for _ in range(steps):
            self.durable.extend(self.computed.popleft()[1])

    def commit_offsets(self) -> None:
        idle = [each.to_ms for each in self.durable if isinstance(each, Until)]
        self.idle_ms = max([self.idle_ms, *idle])
        self.durable.clear()

    def check_members(self) -> None:
        """The index of members and its sizes say what the rows say: stored ones, and with what is staged."""
        rows = dict(self.store.scan(b"", 1_000_000))
        stored = members_of(rows)
        assert members_by_index(self.store) == stored
        assert self.store.sizes() == {key: len(them) for key, them in stored.items()}
        profiles = self.pipeline.profiles
        for key in profiles.unstored_keys():
            rows[key] = profiles.unstored_row(key)
        staged = members_of(rows)
        sizes = {key: size for key, size in profiles.members.sizes.items() if size}
        assert sizes == {key: len(them) for key, them in staged.items()}
        for key, them in staged.items():
            assert profiles.members.page(key, b"", len(them) + 1) == them

    # -- restart -----------------------------------------------------------------------------------------

    def restart(self, lose_store: bool, compact: bool, chunk: int) -> None:
        again = [*self.durable, *(each for _, taken in self.computed for each in taken)]
        self.inbox.extendleft(reversed(again))
        self.computed.clear()
        self.durable.clear()
        self.store.close()
        if compact:
            self.driver.log(CHANGELOG, self.number).compact(self.driver.compacts)
        self.store = self._open_store(lose=lose_store)
        self._recover(chunk)

    def _open_store(self, lose: bool) -> RowStore:
        if self.path is None:
            return MemoryStore() if lose else self.store
        if lose:
            self.path = self.path.with_suffix(f".{self.path.suffix[1:] or 0}1")
        return RocksStore(self.path, ROCKS)

    def _recover(self, chunk: int) -> None:
        """What the worker does with a partition that it is given (``app.worker.worker``)."""
        driver = self.driver
        pipelines, pending = run(PartRestorer(self, chunk).open({self.number}))
        self.pipeline = pipelines[self.number]
        self.check_members()
        self.pipeline.profiles.behind_rows = driver.behind_rows
        if driver.outbox_bytes is not None:
            self.pipeline.outgoing.writer.record_bytes = driver.outbox_bytes
        try:
            producer: Any = driver.producer
            run(send_again(producer, driver.topics, pending))
        finally:
            driver.deliver()
        is_new = self.pipeline.step == 0
        driver.adopt(self.pipeline)
        while self.pipeline.sweeping and driver.steady:
            assert self.pipeline.sweep(100).is_empty or is_new, "a restart changes no rows"
        if self.idle_ms > self.pipeline.stream_time_ms:
            # The wall clock is no earlier than when it was last followed.
            self.inbox.appendleft(Until(self.idle_ms))


def members_of(rows: dict[bytes, bytes]) -> dict[int, list[bytes]]:
    """Per audience key, the keys of the members' rows, in order."""
    found: dict[int, list[bytes]] = {}
    for key in sorted(rows):
        for audience in _audiences_of(rows[key]):
            found.setdefault(audience, []).append(key)
    return found


@lru_cache(4096)  # most rows are those of the step before, and each step is checked
def _audiences_of(row: bytes) -> list[int]:
    return [each for each, membership in decode_row(row).audiences.items() if membership.inside]


def members_by_index(store: RowStore) -> dict[int, list[bytes]]:
    """The same, as the store's index says it."""
    return {audience: store.members(audience, b"", 1_000_000) for audience in store.sizes()}


ROCKS = RocksMemory.of(8 << 20, 8 << 20)
