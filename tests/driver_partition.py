"""One partition under the test driver: what outlives a crash, and how it is found again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agents.dead_letters import dead_letter_headers, rekey_headers
from agents.pipeline import Pipeline
from agents.placement import Place, partition_of
from agents.steps import Step
from agents.transitions import encode_transition
from tables.codec import (
    MARKER_KEY,
    OUTBOX_HEADER,
    Marker,
    Outbox,
    decode_head,
    decode_marker,
    decode_outbox,
    encode_outbox,
)
from tables.meta import StoreMeta, decode_meta, encode_meta
from tables.profiles import Profiles
from tables.store import MemoryStore, RocksMemory, RocksStore, RowStore, Write

if TYPE_CHECKING:
    from tests.driver import Driver

EVENTS, REKEYED = "events", "rekeyed"
Headers = Sequence[tuple[str, bytes]]
Logged = tuple[int, bytes, bytes | None, Headers]
"""(offset, key, value, headers) of a changelog record."""


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


class Part:
    """One partition: its changelog and store outlive the process, the rest doesn't."""

    def __init__(self, driver: Driver, number: int, partitions: int, directory: Path | None) -> None:
        self.driver = driver
        self.place = Place(number, partitions, REKEYED)
        self.path = directory / str(number) if directory is not None else None
        self.changelog: list[Logged] = []
        self.changelog_end = 0
        self.inbox: deque[Rec | Until] = deque()
        self.computed: deque[tuple[Step, list[Rec | Until]]] = deque()
        self.durable: list[Rec | Until] = []
        """Taken and durable, but the source offset isn't committed."""
        self.idle_ms = 0
        self.store = self._open_store()
        self._recover(chunk=1000)

    # -- steps -------------------------------------------------------------------------------------------

    def take(self, size: int) -> bool:
        """Compute one step: a batch of one log, or a slice of time."""
        if not self.inbox:
            return False
        first = self.inbox[0]
        if isinstance(first, Until):
            step = self.pipeline.advance(first.to_ms, first.limit)
            taken: list[Rec | Until] = [first]
            if not self.pipeline.overdue:
                self.inbox.popleft()
        else:
            records: list[Rec] = []
            while self.inbox and len(records) < size:
                record = self.inbox[0]
                if isinstance(record, Until) or record.topic != first.topic:
                    break
                records.append(record)
                self.inbox.popleft()
            step = self.pipeline.apply(records)
            taken = list(records)
        assert (step.counts.dead, step.counts.rekeyed) == (len(step.dead), len(step.rekeyed))
        self.computed.append((step, taken))
        while len(self.computed) > self.driver.in_flight:
            self._commit()
        return True

    def commit_all(self) -> None:
        while self.computed:
            self._commit()

    def _commit(self) -> None:
        step, taken = self.computed[0]
        if not step.is_empty:
            self._commit_step(step)
        self.durable.extend(taken)
        self.computed.popleft()
        self.driver.repeated += step.counts.repeated

    def _commit_step(self, step: Step) -> None:
        driver = self.driver
        for key, value, headers in changelog_batch(step):
            driver.write()
            self._log(key, value, headers)
        for user_id, record, origin in step.rekeyed:
            driver.write()
            target = partition_of(user_id, len(driver.parts))
            driver.rekeyed += 1
            driver.send(
                record.value,
                record.timestamp,
                key=user_id.encode(),
                partition=target,
                topic=REKEYED,
                headers=rekey_headers(record, origin),
            )
        for letter in step.dead:
            driver.write()
            dead_letter_headers(letter)
            if letter.origin not in [each.origin for each in driver.dead]:
                driver.dead.append(letter)
        for transition in step.transitions:
            driver.write()
            driver.emit(encode_transition(transition)[0])
        self.pipeline.acked(step)
        driver.write()
        self.pipeline.changelog_next = self.changelog_end
        step.staged.write.meta = encode_meta(StoreMeta(self.changelog_end, step.end_marker))
        self.pipeline.profiles.durable(step.staged)
        driver.write()

    def _log(self, key: bytes, value: bytes | None, headers: Headers) -> None:
        self.changelog.append((self.changelog_end, key, value, headers))
        self.changelog_end += 1

    def commit_offsets(self) -> None:
        idle = [each.to_ms for each in self.durable if isinstance(each, Until)]
        self.idle_ms = max([self.idle_ms, *idle])
        self.durable.clear()

    # -- restart -----------------------------------------------------------------------------------------

    def restart(self, lose_store: bool, compact: bool, chunk: int) -> None:
        again = [*self.durable, *(each for _, taken in self.computed for each in taken)]
        self.inbox.extendleft(reversed(again))
        self.computed.clear()
        self.durable.clear()
        self.store.close()
        if compact:
            latest = {key: offset for offset, key, _, _ in self.changelog}
            self.changelog = [each for each in self.changelog if latest[each[1]] == each[0]]
        self.store = self._open_store(lose=lose_store)
        self._recover(chunk)

    def _open_store(self, lose: bool = False) -> RowStore:
        if self.path is None:
            keep = hasattr(self, "store") and not lose
            return self.store if keep else MemoryStore()
        return RocksStore(self.path.with_suffix(".again") if lose else self.path, ROCKS)

    def _recover(self, chunk: int) -> None:
        """As ``agents.restore``: read the changelog from where the store is complete, then send outboxes."""
        meta_bytes = self.store.meta()
        meta = decode_meta(meta_bytes) if meta_bytes is not None else StoreMeta(0, b"")
        marker = meta.marker
        outboxes: dict[bytes, Outbox] = {}
        behind = [each for each in self.changelog if each[0] >= meta.changelog_next]
        for start in range(0, len(behind), chunk):
            marker = self._apply(behind[start : start + chunk], marker, outboxes)
        recovered = decode_marker(marker) if marker else None
        self.pipeline = Pipeline(
            self.place,
            Profiles(self.store, self.driver.cache_rows, self.driver.behind_rows),
            self.driver.limits,
            recovered,
        )
        self.pipeline.changelog_next = self.changelog_end
        if recovered is not None:
            assert isinstance(recovered, Marker)
            self.pipeline.resume(recovered.step)
        for key in sorted(outboxes):
            for transition in outboxes[key].transitions:
                self.driver.emit(encode_transition(transition)[0])
        self.pipeline.define(self.driver.rules)
        while self.pipeline.sweeping:
            assert self.pipeline.sweep(100).is_empty or recovered is None, "a restart changes no rows"
        if self.idle_ms > self.pipeline.clock_ms:
            # The wall clock is no earlier than when it was last followed.
            self.inbox.appendleft(Until(self.idle_ms))

    def _apply(self, logged: list[Logged], marker: bytes, outboxes: dict[bytes, Outbox]) -> bytes:
        rows: dict[bytes, bytes] = {}
        deleted: list[bytes] = []
        for _, key, value, headers in logged:
            if key == MARKER_KEY:
                assert value is not None
                marker = value
            elif value is None:
                rows.pop(key, None)
                deleted.append(key)
            else:
                rows[key] = value
                if headers:
                    outboxes[key] = decode_outbox(dict(headers)[OUTBOX_HEADER])
                else:
                    outboxes.pop(key, None)
        if marker:
            acked = decode_marker(marker).acked_step
            for key in [key for key, outbox in outboxes.items() if outbox.step <= acked]:
                del outboxes[key]
        due = [(at, key) for key, value in rows.items() if (at := decode_head(value).due_ms) is not None]
        meta = None if outboxes else encode_meta(StoreMeta(logged[-1][0] + 1, marker))
        self.store.write(Write(rows=list(rows.items()), deleted=deleted, due_added=due, meta=meta))
        return marker


def changelog_batch(step: Step) -> Iterator[tuple[bytes, bytes, Headers]]:
    """Marker, rows with their outboxes, marker: what ``agents.commits`` writes."""
    if not (step.staged.rows or step.clock_moved):
        return
    if step.staged.rows:
        yield MARKER_KEY, step.marker, ()
    for key, value in step.staged.rows:
        outbox = step.outboxes.get(key)
        yield key, value, [(OUTBOX_HEADER, encode_outbox(outbox))] if outbox is not None else ()
    yield MARKER_KEY, step.end_marker, ()


ROCKS = RocksMemory.of(8 << 20, 8 << 20)
