"""The log of the benchmarks: deterministic events, keyed by user, with the shape of a shop's traffic."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from agents.kafka.placement import partition_of
from rules.time.instants import format_instant

NAMES: tuple[tuple[str, float], ...] = (
    ("page_view", 0.45),
    ("product_view", 0.25),
    ("search", 0.12),
    ("add_to_cart", 0.12),
    ("purchase", 0.06),
)
CATEGORIES = ("shoes", "books", "toys", "garden", "audio", "food", "sports", "travel")
CHANNELS = ("web", "app", "store")
ZIPF = 3
"""A user's rank is users * r**3 with r uniform: the k-th most active has a share of about k**(-2/3)."""
LATE_SHARE = 0.02
LATE_MS = 600_000
STEP_MS = 86
"""Log time between two events: a million are a day."""


@dataclass(frozen=True, slots=True)
class LogSpec:
    """What determines a log, byte by byte. The first n events of a longer log are the shorter one."""

    base_ms: int
    events: int = 1_000_000
    users: int = 200_000
    partitions: int = 8
    seed: int = 1
    step_ms: int = STEP_MS

    @property
    def end_ms(self) -> int:
        return self.base_ms + self.events * self.step_ms

    @classmethod
    def ending_at(cls, end_ms: int, events: int, users: int, partitions: int = 8, seed: int = 1) -> LogSpec:
        """A log whose last event is at ``end_ms``: a worker that reaches it goes on with the wall clock
        and has nothing to make up for."""
        return cls(end_ms - events * STEP_MS, events, users, partitions, seed)


@dataclass(slots=True)
class LogRecord:
    """A record as a consumer gives it (``agents.evaluate.pipeline.Record``)."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    partition: int
    topic: str = ""
    headers: Sequence[tuple[str, bytes]] = ()


class Places:
    """The partition of each user: murmur2 costs 4 µs, so each user's is computed once."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._known: dict[int, tuple[bytes, int]] = {}

    def of(self, user: int) -> tuple[bytes, int]:
        """(key, partition)."""
        found = self._known.get(user)
        if found is None:
            name = f"u{user:07d}"
            found = self._known[user] = name.encode(), partition_of(name, self._partitions)
        return found


def generate(spec: LogSpec, topic: str) -> Iterator[LogRecord]:
    """The log, in the order in which it is produced; offsets count from 0 in each partition."""
    random = Random(spec.seed).random
    places = Places(spec.partitions)
    offsets = [0] * spec.partitions
    names = tuple(name for name, _ in NAMES)
    bounds = list(accumulate(share for _, share in NAMES[:-1]))
    categories, channels = len(CATEGORIES), len(CHANNELS)
    at_ms = spec.base_ms
    for number in range(spec.events):
        user = int(spec.users * random() ** ZIPF)
        key, partition = places.of(user)
        at_ms += spec.step_ms
        chance = random()
        late_ms = int(LATE_MS * chance / LATE_SHARE) if chance < LATE_SHARE else 0
        name = names[bisect_right(bounds, random())]
        price = int(random() ** 3 * 40000) / 100
        sku = int(random() * 5000)
        value = (
            f'{{"type":"track","id":"{spec.seed:04d}-{number:012d}","user_id":"{key.decode()}",'
            f'"event":"{name}","time":"{format_instant(at_ms - late_ms)}","properties":'
            f'{{"sku":"sku-{sku:05d}","category":"{CATEGORIES[sku % categories]}",'
            f'"price":{price},"channel":"{CHANNELS[sku % channels]}"}}}}'
        )
        yield LogRecord(offsets[partition], at_ms, key, value.encode(), partition, topic)
        offsets[partition] += 1
