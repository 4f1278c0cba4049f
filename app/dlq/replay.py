"""``turnstile dlq replay``: input dead letters sent again to the topics that they came from.

A letter is sent, then noted as sent. Between the two a kill may come: then the next replay sends it once
more, which changes nothing for an event with an id.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError

from agents.kafka.producer import Producer
from agents.registry.erased_records import NOBODY, read_erased
from agents.topics import existing
from app.dlq.letters import (
    REPLAYED_AT,
    REPLAYED_OFFSET,
    KeptLetter,
    LetterFilter,
    LetterTopic,
    is_erased,
)
from app.kafka.configured import broker_of, plan_of
from app.settings.limits import limits_of
from app.settings.tree import Settings
from rules.time.instants import format_instant

CHUNK = 500


@dataclass(slots=True)
class ReplayedLetters:
    """How a replay went. ``left`` says of each letter that was not sent why."""

    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By reason and topic; in a dry run those that would be sent."""
    done_before: int = 0
    """Sent by an earlier replay."""
    erased: int = 0
    """Of users who were erased since; they are not sent."""
    left: list[tuple[KeptLetter, str]] = field(default_factory=list)

    @property
    def found(self) -> bool:
        """There were letters."""
        return bool(self.sent or self.left or self.done_before or self.erased)


async def replay(
    settings: Settings, topic: LetterTopic, wanted: LetterFilter, *, again: bool, now: bool, dry_run: bool
) -> ReplayedLetters:
    """Send the letters that are there now. ``now``: with the time of the replay, not with their own."""
    result = ReplayedLetters()
    partitions = await existing(topic.admin)
    replayed = set() if again else await topic.replayed()
    erased = NOBODY
    if (receipts := plan_of(settings).erasures) in partitions:
        erased = await read_erased(topic.consumer, receipts, limits_of(settings).formats)
    # Not idempotent, which takes a right that clients may lack.
    producer = Producer(broker_of(settings), idempotence=False)
    await producer.start()
    try:
        chunk: list[KeptLetter] = []
        async for letter in topic.letters(wanted):
            if letter.place in replayed:
                result.done_before += 1
            elif is_erased(letter, erased):
                result.erased += 1
            elif (why := why_not(letter, partitions)) is not None:
                result.left.append((letter, why))
            elif dry_run:
                result.sent[_what(letter)] += 1
            else:
                chunk.append(letter)
                if len(chunk) >= CHUNK:
                    await _send(producer, topic, chunk, partitions, now, result)
                    chunk = []
        await _send(producer, topic, chunk, partitions, now, result)
    finally:
        await producer.stop()
    return result


def why_not(letter: KeptLetter, partitions: Mapping[str, int]) -> str | None:
    """Why a letter can't be sent again; None: it can."""
    source = letter.source
    if letter.destination is not None:
        return f"it is a destination's: turnstile deliver replay {letter.destination}"
    if source is None:
        return "it doesn't say which topic it came from (header source.topic)"
    if letter.value_bytes is not None:
        where = "{}/{}@{}".format(*source)
        return (
            f"its value of {letter.value_bytes} bytes was too large for the dead-letter topic and is left "
            f"out; the record itself is at {where} for as long as that topic keeps it"
        )
    if letter.record.value is None:
        return "the record never had a value"
    if source[0] not in partitions:
        return f"its topic {source[0]} doesn't exist any more"
    return None


async def _send(
    producer: Producer,
    topic: LetterTopic,
    letters: Sequence[KeptLetter],
    partitions: Mapping[str, int],
    now: bool,
    result: ReplayedLetters,
) -> None:
    """Send in order, wait, note what arrived."""
    sent = [await _sent(producer, letter, partitions, now) for letter in letters]
    answers = await asyncio.gather(*sent, return_exceptions=True)
    at = format_instant(time.time_ns() // 1_000_000).encode()
    notes = []
    for letter, answer in zip(letters, answers, strict=True):
        if isinstance(answer, KafkaError):
            result.left.append((letter, f"Kafka refused it: {answer!r}"))
            continue
        if isinstance(answer, BaseException):
            raise answer
        result.sent[_what(letter)] += 1
        partition, offset = letter.place
        headers = [(REPLAYED_OFFSET, str(offset).encode()), (REPLAYED_AT, at)]
        notes.append(await producer.send(topic.name, None, b"", partition=partition, headers=headers))
    await asyncio.gather(*notes)


async def _sent(
    producer: Producer, letter: KeptLetter, partitions: Mapping[str, int], now: bool
) -> Awaitable[object]:
    """Of a letter that is on its way: what will be known of it."""
    assert letter.source is not None
    topic, partition, _ = letter.source
    is_there = partition is not None and partition < partitions[topic]
    try:
        sent: Awaitable[object] = await producer.send(
            topic,
            letter.record.value,
            letter.record.key,
            partition=partition if is_there else None,
            timestamp_ms=None if now else letter.source_timestamp_ms,
            headers=letter.own_headers,
        )
    except KafkaError as error:
        refused: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        refused.set_exception(error)
        return refused
    return sent


def _what(letter: KeptLetter) -> tuple[str, str]:
    return letter.code, letter.source[0] if letter.source else ""
