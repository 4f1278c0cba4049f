"""A dead-letter topic, for commands: its letters, and which of them were sent again.

``turnstile dlq replay`` notes what it sent in the topic itself: a record without key and value whose header
``replayed.offset`` names the letter, which lies before it in the same partition.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord

from agents.evaluate.dead_letters import OURS
from agents.kafka.clients import new_consumer
from agents.kafka.placement import ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TIMESTAMP, ORIGIN_TOPIC
from agents.registry.erased_records import ErasedRecords
from agents.topics import existing
from app.failures import CommandFailed
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of
from app.settings.tree import Settings
from rules.parse.problems import name_hint

SUFFIX = ".dlq"
REPLAYED_OFFSET = "replayed.offset"
REPLAYED_AT = "replayed.at"
DESTINATION = "delivery.destination"
POLL_MS = 500
SILENCE_SECONDS = 60.0
"""Brokers that send nothing for so long, although there is more, are given up."""

Header = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A record on a dead-letter topic. Texts of headers are as others wrote them: not safe for a terminal."""

    record: ConsumerRecord[bytes | None, bytes | None]
    headers: Mapping[str, bytes | None]

    @property
    def place(self) -> tuple[int, int]:
        """Partition and offset on the dead-letter topic."""
        return self.record.partition, self.record.offset

    @property
    def code(self) -> str:
        return self._text("error.code") or "(no reason)"

    @property
    def message(self) -> str:
        return self._text("error.message")

    @property
    def destination(self) -> str | None:
        """The destination that refused it; None: it comes from a worker."""
        return self._text(DESTINATION) or None

    @property
    def source(self) -> tuple[str, int | None, int | None] | None:
        """Topic, partition and offset that the record came from; None: the letter doesn't say."""
        topic = self._text(ORIGIN_TOPIC)
        return (topic, self._number(ORIGIN_PARTITION), self._number(ORIGIN_OFFSET)) if topic else None

    @property
    def source_timestamp_ms(self) -> int | None:
        return self._number(ORIGIN_TIMESTAMP)

    @property
    def value_bytes(self) -> int | None:
        """Size of a value that was left out because the letter would have been too large."""
        return self._number("error.value_bytes")

    @property
    def own_headers(self) -> list[tuple[str, bytes]]:
        """Those that the record had before it became a letter."""
        return [(name, value or b"") for name, value in self.record.headers if name not in OURS]

    def _text(self, name: str) -> str:
        return (self.headers.get(name) or b"").decode("utf-8", "replace")

    def _number(self, name: str) -> int | None:
        """A number that Kafka could have as a partition, an offset or a timestamp."""
        text = self.headers.get(name) or b""
        return int(text) if text.isdigit() and len(text) < 19 else None


def is_erased(letter: KeptLetter, erased: ErasedRecords) -> bool:
    """Whether its user was erased since it happened."""
    record, source, at_ms = letter.record, letter.source, letter.source_timestamp_ms
    topic, at_ms = "" if source is None else source[0], record.timestamp if at_ms is None else at_ms
    return erased.has(record.key, record.value, at_ms, topic, letter.own_headers)


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters: those of a reason, of a partition of the dead-letter topic, or one."""

    reason: str | None = None
    partition: int | None = None
    offset: int | None = None

    def has(self, letter: KeptLetter) -> bool:
        partition, offset = letter.place
        return (
            self.reason in (None, letter.code)
            and self.partition in (None, partition)
            and self.offset in (None, offset)
        )

    def __str__(self) -> str:
        """`` with the reason not_json in partition 3``; nothing where all are meant."""
        told = f" with the reason {self.reason}" if self.reason is not None else ""
        if self.offset is not None:
            return f"{told} at {self.partition}@{self.offset}"
        return f"{told} in partition {self.partition}" if self.partition is not None else told


@dataclass(slots=True)
class LetterTopic:
    """A dead-letter topic up to its ends as they were when the command began."""

    name: str
    consumer: AIOKafkaConsumer
    admin: AIOKafkaAdminClient
    ends: Mapping[TopicPartition, int] = field(default_factory=dict)

    async def letters(self, wanted: LetterFilter) -> AsyncIterator[KeptLetter]:
        """In the order of each partition, notes left out."""
        async for record, headers in self._records(wanted):
            if REPLAYED_OFFSET not in headers and wanted.has(letter := KeptLetter(record, headers)):
                yield letter

    async def replayed(self) -> set[tuple[int, int]]:
        """The places of the letters that were sent again."""
        found = set()
        async for record, headers in self._records(LetterFilter()):
            offset = headers.get(REPLAYED_OFFSET) or b""
            if offset.isdigit():
                found.add((record.partition, int(offset)))
        return found

    async def _records(
        self, wanted: LetterFilter
    ) -> AsyncIterator[tuple[ConsumerRecord[bytes | None, bytes | None], Mapping[str, bytes | None]]]:
        consumer, ends = self.consumer, self.ends
        tps = [tp for tp in ends if wanted.partition in (None, tp.partition)]
        if not tps:
            return
        consumer.assign(tps)
        begins = await consumer.beginning_offsets(tps)
        for tp in tps:
            # An offset is looked for from there on; one that is gone already is simply not found.
            consumer.seek(tp, min(max(begins[tp], wanted.offset or 0), ends[tp]))
        heard = monotonic()
        while open_tps := [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
            polled = await consumer.getmany(timeout_ms=POLL_MS)
            for tp, records in polled.items():
                for record in records:
                    if record.offset < ends[tp]:
                        yield record, dict(record.headers)
                        if record.offset == wanted.offset:
                            return
            if polled:
                heard = monotonic()
            elif monotonic() - heard > SILENCE_SECONDS:
                raise CommandFailed(f"no broker sent more of {open_tps[0].topic}/{open_tps[0].partition}")


@asynccontextmanager
async def letter_topic(settings: Settings, topic: str) -> AsyncIterator[LetterTopic]:
    """The dead letters of a source topic, or the dead-letter topic of this name. Raises CommandFailed."""
    async with connected_admin(settings) as admin:
        known = await existing(admin)
        name = topic if topic.endswith(SUFFIX) else topic + SUFFIX
        if name not in known:
            others = [each for each in known if each.endswith(SUFFIX)]
            hint = f"; {name_hint(name, others)}" if others else ": the broker has no dead-letter topic"
            raise CommandFailed(f"there is no topic '{name}'{hint}")
        consumer = new_consumer(broker_of(settings))
        try:
            await consumer.start()
            tps = [TopicPartition(name, each) for each in range(known[name])]
            yield LetterTopic(name, consumer, admin, await consumer.end_offsets(tps))
        finally:
            await consumer.stop()


@dataclass(slots=True)
class Reason:
    """The letters of one reason. Times are those of the letters (ms), places partition and offset."""

    code: str
    letters: int = 0
    waiting: int = 0
    """Not sent again yet."""
    first_ms: int = 0
    last_ms: int = 0
    first: tuple[int, int] = (0, 0)
    last: tuple[int, int] = (0, 0)

    def add(self, letter: KeptLetter, is_replayed: bool) -> None:
        at_ms = letter.record.timestamp
        if self.letters == 0 or at_ms < self.first_ms:
            self.first_ms, self.first = at_ms, letter.place
        if self.letters == 0 or at_ms >= self.last_ms:
            self.last_ms, self.last = at_ms, letter.place
        self.letters += 1
        self.waiting += not is_replayed


async def reasons_of(topic: LetterTopic, wanted: LetterFilter) -> list[Reason]:
    """What lies there, the most frequent reason first."""
    replayed = await topic.replayed()
    found: dict[str, Reason] = {}
    async for letter in topic.letters(wanted):
        code = letter.code
        found.setdefault(code, Reason(code)).add(letter, letter.place in replayed)
    return sorted(found.values(), key=lambda each: (-each.letters, each.code))


async def none_found(topic: LetterTopic, wanted: LetterFilter) -> str:
    """What is said where there is no such letter; of a reason that no letter has, which ones there are."""
    told = f"{topic.name} has no dead letters{wanted}"
    codes = sorted({letter.code async for letter in topic.letters(LetterFilter())}) if wanted.reason else []
    if not codes or wanted.reason in codes:
        return told
    near = get_close_matches(str(wanted.reason), codes, n=1)
    meant = f"; did you mean '{near[0]}'?" if near else "."
    return f"{told}{meant} The reasons there are: {', '.join(codes)}"
