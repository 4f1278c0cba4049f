"""What goes out besides the changelog: transitions, dead letters, repartitioned records.

Data decides how large an output is, and a topic's limit may be anything and change at any time. So nothing
is assumed of limits. A batch that is refused for its size goes in halves, down to single records; a record
that is refused by itself goes in a smaller form, or becomes a dead letter. Nothing of this stops a worker,
and each is logged and counted. Records of one partition stay in their order: a batch is sent when the one
before it is acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError

from agents.evaluate.dead_letters import (
    Headers,
    LetterLog,
    dead_letter_headers,
    origin_headers,
    repartition_headers,
    smaller_letters,
)
from agents.evaluate.parts import needs_headers
from agents.evaluate.steps import DeadLetter, Record, Step
from agents.evaluate.transitions import PROPERTIES_HEADER, encode_transition
from agents.kafka.batches import record_bytes
from agents.kafka.consumed import Consumed
from agents.kafka.placement import Origin, partition_of
from agents.kafka.producer import MAX_REQUEST_BYTES, REFUSED, TOO_LARGE
from agents.topics.written import WrittenTopics
from agents.warnings import Warnings
from rules.state.row import Transition

Sent = tuple[int | None, bytes | None, bytes | None, Headers]
"""Timestamp (ms; None: now), key, value and headers of a record."""


@dataclass(slots=True)
class BatchLimits:
    """Sizes of batches that topics take, as far as refusals have shown. Kept for the life of a process."""

    batch_bytes: dict[str, int] = field(default_factory=dict)

    def refused(self, topic: str, size: int) -> None:
        """A batch of several records was too large: half of it may fit."""
        self.batch_bytes[topic] = min(size // 2, self.batch_bytes.get(topic, size))


@dataclass(frozen=True, slots=True)
class Repartitioned:
    """A record on its way to its user's partition; ``step`` is the one that found it."""

    step: Step
    user_id: str
    record: Record
    origin: Origin


Source = Transition | DeadLetter | Repartitioned
"""What a record was made of."""
TopicPlace = tuple[str, int]
"""Topic and partition."""


class Refusals(Protocol):
    """Who knows what to do with a record that its topic refused when it came alone."""

    def smaller(self, source: Source, sent: Sent, error: BaseException) -> Iterator[Sent]:
        """The forms to try in its place, the largest first."""

    async def given_up(self, source: Source, sent: Sent, place: TopicPlace, error: BaseException) -> None:
        """No form was taken."""


Entry = tuple[Sent, Source]


class Lot:
    """Outputs for one topic partition, in order, in as few batches as they fit."""

    def __init__(
        self, producer: AIOKafkaProducer, limits: BatchLimits, topic: str, partition: int, refusals: Refusals
    ) -> None:
        self._producer = producer
        self._limits = limits
        self._topic = topic
        self._partition = partition
        self._refusals = refusals
        self._batches: list[tuple[Any, list[Entry]]] = []

    def add(self, sent: Sent, source: Source) -> None:
        limit = self._limits.batch_bytes.get(self._topic)
        timestamp_ms, key, value, headers = sent
        if self._batches:
            builder, entries = self._batches[-1]
            fits = limit is None or builder.size() + size_of(sent) <= limit
            if fits and builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers):
                entries.append((sent, source))
                return
        self._batches.append((self._built([sent]), [(sent, source)]))

    async def send(self) -> None:
        """Send everything and wait for it. Raises what the producer raises, but for refusals."""
        for builder, entries in self._batches:
            await self._send(builder, entries)
        self._batches = []

    async def _send(self, builder: Any, entries: Sequence[Entry]) -> None:
        error = await self._refusal(builder, entries[0][0] if len(entries) == 1 else None)
        if error is None:
            return
        if len(entries) == 1:
            await self._send_smaller(*entries[0], error)
            return
        if isinstance(error, TOO_LARGE):
            self._limits.refused(self._topic, sum(size_of(sent) for sent, _ in entries))
        middle = len(entries) // 2
        for half in (entries[:middle], entries[middle:]):
            await self._send(self._built([sent for sent, _ in half]), half)

    async def _send_smaller(self, sent: Sent, source: Source, error: BaseException) -> None:
        for form in self._refusals.smaller(source, sent, error):
            if await self._refusal(self._built([form]), form) is None:
                return
        await self._refusals.given_up(source, sent, (self._topic, self._partition), error)

    async def _refusal(self, builder: Any, alone: Sent | None) -> BaseException | None:
        """Send a batch, of one record if ``alone`` is there; None when it is in Kafka."""
        builder.close()
        if alone is not None and size_of(alone) > MAX_REQUEST_BYTES:  # batches of several have a limit
            text = f"{size_of(alone)} bytes are more than a request may have"
            return cast(BaseException, MessageSizeTooLargeError(text))
        sent = await self._producer.send_batch(builder, self._topic, partition=self._partition)
        try:
            await sent
        except REFUSED as error:
            return cast(BaseException, error)
        return None

    def _built(self, records: Iterable[Sent]) -> Any:
        builder = self._producer.create_batch()
        for timestamp_ms, key, value, headers in records:
            builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)
        return builder


def size_of(sent: Sent) -> int:
    """At most so many bytes does the record have when it goes alone."""
    _, key, value, headers = sent
    return record_bytes(key, value, headers)


@dataclass(slots=True)
class Told:
    """Who is told of what can't go as it is: the log of dead letters, and the operator."""

    letters: LetterLog = field(default_factory=LetterLog)
    warnings: Warnings = field(default_factory=Warnings)
    limits: BatchLimits = field(default_factory=BatchLimits)


class Outputs:
    """The outputs of some steps: ``add`` each, then ``send`` once."""

    def __init__(self, producer: AIOKafkaProducer, topics: WrittenTopics, told: Told) -> None:
        self._producer = producer
        self._topics = topics
        self._told = told
        self._lots: dict[tuple[str, int], Lot] = {}
        self._letters: list[DeadLetter] = []

    def add_step(self, partition: int, step: Step) -> None:
        topics = self._topics
        for user_id, record, origin in step.repartitioned:
            target = partition_of(user_id, topics.partitions)
            headers = repartition_headers(record, origin, step.accepted.get(record.topic, 0))
            sent = max(record.timestamp, 0), user_id.encode(), record.value, headers
            self._lot(topics.repartition, target).add(sent, Repartitioned(step, user_id, record, origin))
        for letter in step.dead:
            self._add_letter(letter)
        same = topics.transitions_partitions == topics.partitions
        for transition in step.transitions:
            target = partition if same else partition_of(transition.user_id, topics.transitions_partitions)
            self._add_transition(transition, target)

    def add_again(self, output: Transition | DeadLetter) -> None:
        """One from an outbox; it is the same record as the first time."""
        if isinstance(output, DeadLetter):
            self._add_letter(output)
        else:
            self._add_transition(output, partition_of(output.user_id, self._topics.transitions_partitions))

    def _add_letter(self, letter: DeadLetter) -> None:
        self._lot(*self._place_of(letter)).add(_whole(letter), letter)
        self._letters.append(letter)

    async def send(self) -> None:
        """Send all, and wait until the brokers have them; then the dead letters are logged."""
        lots, self._lots = self._lots, {}
        await asyncio.gather(*(lot.send() for lot in lots.values()))
        letters, self._letters = self._letters, []
        for letter in letters:
            self._told.letters.note(letter.code, letter.origin, letter.message, self._letters_topic(letter))

    def _add_transition(self, transition: Transition, partition: int) -> None:
        value, headers = encode_transition(transition)
        sent = max(transition.at_ms, 0), transition.user_id.encode(), value, headers
        self._lot(self._topics.transitions, partition).add(sent, transition)

    def _lot(self, topic: str, partition: int) -> Lot:
        lot = self._lots.get((topic, partition))
        if lot is None:
            lot = self._lots[topic, partition] = Lot(
                self._producer, self._told.limits, topic, partition, self
            )
        return lot

    def _letters_topic(self, letter: DeadLetter) -> str:
        return letter.origin[0] + self._topics.dead_letter_suffix

    def _place_of(self, letter: DeadLetter) -> tuple[str, int]:
        """Its source's partition; the topic of its dead letters may have fewer."""
        topic, partition = self._letters_topic(letter), letter.origin[1]
        return topic, partition % self._topics.dead_letter_partitions.get(topic, self._topics.partitions)

    # -- what was refused ----------------------------------------------------------------------------

    def smaller(self, source: Source, sent: Sent, error: BaseException) -> Iterator[Sent]:
        timestamp_ms, key, value, headers = sent
        if isinstance(source, DeadLetter):
            for form in smaller_letters(source):
                yield None, *form
        elif isinstance(source, Repartitioned):
            if source.record.headers and not needs_headers(source.record):
                record, accepted = source.record, source.step.accepted
                least = origin_headers(record, source.origin, accepted.get(record.topic, 0))
                yield timestamp_ms, key, value, least
        elif isinstance(error, InvalidTimestampError):
            yield None, key, value, headers
        else:
            short = [each for each in headers if each[0] != PROPERTIES_HEADER]
            if len(short) < len(headers):
                text = "it refused transitions for their size: they go without the properties of their event"
                self._told.warnings.note("transition_shortened", self._topics.transitions, text)
                yield timestamp_ms, key, value, short

    async def given_up(self, source: Source, sent: Sent, place: TopicPlace, error: BaseException) -> None:
        topic, partition = place
        timestamp_ms, key, value, headers = sent
        text = f"topic {topic} refused it with {size_of(sent)} bytes: {type(error).__name__}"
        if isinstance(source, DeadLetter):
            self._letters = [each for each in self._letters if each is not source]
            where = "{}/{}@{}".format(*source.origin)
            text = f"{text}, and without its value as well. The record is only told here: {source.message}"
            self._told.warnings.note("dead_letter_refused", where, text)
        elif isinstance(source, Repartitioned):
            letter = DeadLetter(source.record, source.origin, "rekeyed_refused", text, "rekey")
            step = source.step
            step.dead.append(letter)
            step.counts.repartitioned -= 1
            step.counts.dead += 1
            await self._bury(letter)
        else:
            self._told.warnings.note("transition_refused", topic, text)
            record = Consumed(topic, partition, -1, timestamp_ms or 0, key, value, headers)
            await self._bury(DeadLetter(record, (topic, partition, -1), "transition_refused", text, "output"))

    async def _bury(self, letter: DeadLetter) -> None:
        """Send a letter that came up while outputs were sent."""
        self._letters.append(letter)
        lot = Lot(self._producer, self._told.limits, *self._place_of(letter), self)
        lot.add(_whole(letter), letter)
        await lot.send()


def _whole(letter: DeadLetter) -> Sent:
    return None, letter.record.key, letter.record.value, dead_letter_headers(letter)
