"""What goes out besides the changelog: transitions, claims, dead letters, repartitioned records.

Data decides how large an output is, and a topic's limit may be anything and change at any time. So nothing
is assumed of limits. A batch that is refused for its size goes in halves, down to single records; a record
that is refused by itself goes in a smaller form, or becomes a dead letter. Nothing of this stops a worker,
and each is logged and counted. Records of one partition stay in their order: a batch is sent when the one
before it is acknowledged.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTimestampError

from agents.evaluate.dead_letters import (
    LetterLog,
    dead_letter_headers,
    origin_headers,
    repartition_headers,
    smaller_letters,
)
from agents.evaluate.jobs import Parts
from agents.evaluate.lots import BatchLimits, Entry, Lot, Repartitioned, Sent, Source, TopicPlace, size_of
from agents.evaluate.on_demand import OnDemand
from agents.evaluate.parts import needs_headers
from agents.evaluate.steps import DeadLetter, Step
from agents.evaluate.transitions import PROPERTIES_HEADER, encode_transition
from agents.kafka.batches import PRODUCE_BATCH_BYTES
from agents.kafka.consumed import Consumed
from agents.kafka.placement import partition_of
from agents.registry.erasures import Receipt, receipt_of, receipt_record
from agents.topics.written import WrittenTopics
from agents.warnings import Warnings
from rules.state.identities import Claim
from rules.state.row import Transition
from tables.claims import encode_claim, identity_text
from tables.erased import pseudonym


@dataclass(slots=True)
class Told:
    """Who is told of what can't go as it is: the log of dead letters, and the operator."""

    letters: LetterLog = field(default_factory=LetterLog)
    warnings: Warnings = field(default_factory=Warnings)
    limits: BatchLimits = field(default_factory=BatchLimits)


class Outputs:
    """The outputs of some steps: ``adding`` those of each partition, then ``send`` once."""

    def __init__(self, producer: AIOKafkaProducer, topics: WrittenTopics, told: Told) -> None:
        self._producer = producer
        self._topics = topics
        self._told = told
        self._lots: dict[tuple[str, int], Lot] = {}
        self._letters: list[DeadLetter] = []

    def adding(self, partition: int, steps: Sequence[Step]) -> Parts[None]:
        """Add the outputs of a partition's steps, in order."""
        for is_finished, some in groupby(steps, lambda step: step.finished is not None):
            if is_finished:
                yield from self._adding_finished(partition, list(some))
            else:
                for step in some:
                    self._add_rest(partition, step)
                    self._add_transitions(partition, step)

    def _add_rest(self, partition: int, step: Step) -> None:
        """Repartitioned records, dead letters, receipts."""
        topics = self._topics
        for user_id, record, origin in step.repartitioned:
            target = partition_of(user_id, topics.partitions)
            headers = repartition_headers(record, origin, step.accepted.get(record.topic, 0))
            sent = max(record.timestamp, 0), user_id.encode(), record.value, headers
            self._lot(topics.repartition, target).add(sent, Repartitioned(step, user_id, record, origin))
        for letter in step.dead:
            self._add_letter(letter)
        for key, erased in step.erased.items():
            self._add_receipt(receipt_of(pseudonym(key), erased, partition))

    def _add_transitions(self, partition: int, step: Step) -> None:
        """And claims."""
        partitions = self._partitions
        for _, claim in step.claims:
            self._add_claim(claim)
        for transition in step.transitions:
            target = partition if partitions is None else partition_of(transition.user_id, partitions)
            self._add_transition(transition, target)

    def _adding_finished(self, partition: int, steps: list[Step]) -> Parts[None]:
        """The transitions as finished batches; they become objects only where a batch is refused."""
        for step in steps:
            self._add_rest(partition, step)
        finished = [step.finished for step in steps if step.finished is not None]
        topic, partitions = self._topics.transitions, self._partitions
        most_bytes = min(PRODUCE_BATCH_BYTES, self._told.limits.batch_bytes.get(topic, PRODUCE_BATCH_BYTES))
        found = yield from finished[0].transitions(finished[1:], partition, partitions, most_bytes)
        done: Counter[int] = Counter()
        for target, batch in found:
            start, count = done[target], batch.record_count()
            done[target] += count
            entries = OnDemand(count, partial(_entries, steps, target, partitions, start, start + count))
            self._lot(topic, target).add_ready(batch, entries)
        for step in steps:
            self._add_finished_claims(step)

    def _add_finished_claims(self, step: Step) -> None:
        assert step.finished is not None
        topic, partitions = self._topics.identities, self._topics.partitions
        done: Counter[int] = Counter()
        for target, batch in step.finished.claims(partitions, PRODUCE_BATCH_BYTES):
            first, count = done[target], batch.record_count()
            done[target] += count
            entries = OnDemand(count, partial(_claim_entries, step, target, partitions, first, first + count))
            self._lot(topic, target).add_ready(batch, entries)

    @property
    def _partitions(self) -> int | None:
        """How many the topic of transitions has; None: as many as the table, and each stays in its own."""
        partitions = self._topics.transitions_partitions
        return None if partitions == self._topics.partitions else partitions

    def add_again(self, output: Transition | Claim | DeadLetter | Receipt) -> None:
        """One from an outbox; it is the same record as the first time."""
        if isinstance(output, Receipt):
            self._add_receipt(output)
            return
        if isinstance(output, DeadLetter):
            self._add_letter(output)
        elif isinstance(output, Claim):
            self._add_claim(output)
        else:
            self._add_transition(output, partition_of(output.user_id, self._topics.transitions_partitions))

    def _add_receipt(self, receipt: Receipt) -> None:
        if self._topics.erasures:
            key, value = receipt_record(receipt)
            self._lot(self._topics.erasures, 0).add((None, key, value, []), receipt)

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
        self._lot(self._topics.transitions, partition).add(*_entry(transition))

    def _add_claim(self, claim: Claim) -> None:
        topics = self._topics
        self._lot(topics.identities, _claim_partition(claim, topics.partitions)).add(*_claim_entry(claim))

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
        elif isinstance(source, Receipt):
            return
        elif isinstance(error, InvalidTimestampError):
            yield None, key, value, headers
        elif isinstance(source, Transition):
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
        elif isinstance(source, Receipt):
            self._told.warnings.note("receipt_refused", source.user, text)
        elif isinstance(source, Repartitioned):
            letter = DeadLetter(source.record, source.origin, "rekeyed_refused", text, "rekey")
            step = source.step
            step.dead.append(letter)
            step.counts.repartitioned -= 1
            step.counts.dead += 1
            await self._bury(letter)
        else:
            record = Consumed(topic, partition, -1, timestamp_ms or 0, key, value, headers)
            origin = topic, partition, -1
            if isinstance(source, Claim):
                letter = DeadLetter(record, origin, "claim_refused", text, "output")
            else:
                letter = DeadLetter(record, origin, "transition_refused", text, "output")
            self._told.warnings.note(letter.code, topic, text)
            await self._bury(letter)

    async def _bury(self, letter: DeadLetter) -> None:
        """Send a letter that came up while outputs were sent."""
        self._letters.append(letter)
        lot = Lot(self._producer, self._told.limits, *self._place_of(letter), self)
        lot.add(_whole(letter), letter)
        await lot.send()


def _entry(transition: Transition) -> Entry:
    value, headers = encode_transition(transition)
    return (max(transition.at_ms, 0), transition.user_id.encode(), value, headers), transition


def _entries(of: Sequence[Step], target: int, partitions: int | None, start: int, end: int) -> list[Entry]:
    """Some transitions of steps, for one partition of their topic; ``partitions`` None: all are for it."""
    transitions = chain.from_iterable(step.transitions for step in of)
    mine = [
        each for each in transitions if partitions is None or partition_of(each.user_id, partitions) == target
    ]
    return [_entry(each) for each in mine[start:end]]


def _claim_entry(claim: Claim) -> Entry:
    key, value = encode_claim(claim)
    return (max(claim.time_ms, 0), key, value, []), claim


def _claim_partition(claim: Claim, partitions: int) -> int:
    return partition_of(identity_text((claim.project, claim.namespace, claim.value)), partitions)


def _claim_entries(step: Step, target: int, partitions: int, start: int, end: int) -> list[Entry]:
    mine = [each for _, each in step.claims if _claim_partition(each, partitions) == target]
    return [_claim_entry(each) for each in mine[start:end]]


def _whole(letter: DeadLetter) -> Sent:
    return None, letter.record.key, letter.record.value, dead_letter_headers(letter)
