"""Dead letters and repartitioned records: headers, smaller forms of a letter, and the log of letters.

docs/contracts.md, section 1. A topic may refuse a letter for its size, however large the topic was when the
worker started. Then the letter goes in the next smaller form, down to one of some hundred bytes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256

import structlog

from agents.evaluate.parts import needs_headers
from agents.evaluate.steps import DeadLetter, Record
from agents.kafka.placement import (
    ERASURE_BEFORE,
    NO_TIMESTAMP,
    ORIGIN_ACCEPTED,
    ORIGIN_KEY,
    ORIGIN_OFFSET,
    ORIGIN_PARTITION,
    ORIGIN_TIMESTAMP,
    ORIGIN_TOPIC,
    Origin,
    was_untimed,
)

log = structlog.get_logger("turnstile.dead_letters")

MESSAGE_CHARS = 1000
SHORT_MESSAGE_BYTES = 100
LOG_SECONDS = 60.0
"""A reason is logged at most once in this time; what came meanwhile is counted in one line at its end."""

_ORIGIN = frozenset(
    {
        *(ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, ORIGIN_ACCEPTED, ORIGIN_TIMESTAMP, ORIGIN_KEY),
        ERASURE_BEFORE,
    }
)
OURS = _ORIGIN | frozenset(
    {
        *("error.code", "error.message", "error.stage"),
        *("error.value_bytes", "error.value_sha256", "error.headers_bytes"),
        *("error.key_bytes", "error.key_sha256"),
    }
)
"""Names of the headers that we give to a letter. A record that dies again gets new ones."""
_KEPT_WITH_THE_LEAST = ("error.code", ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET)

Headers = Sequence[tuple[str, bytes | None]]
Form = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of a record to send."""


def dead_letter_headers(letter: DeadLetter) -> Headers:
    """The record's own headers, then why it is here and where it came from."""
    return [*_own(letter.record.headers), *_ours(letter)]


def repartition_headers(record: Record, origin: Origin, accepted_ms: int = 0) -> Headers:
    """The record's own headers, but for those with names that we read, then ``origin_headers``."""
    own = [each for each in record.headers if each[0] not in _ORIGIN]
    return [*own, *origin_headers(record, origin, accepted_ms)]


def origin_headers(record: Record, origin: Origin, accepted_ms: int = 0) -> Headers:
    """What a repartitioned record needs: where the producer wrote it, whether without a timestamp, and with
    which key, if its format reads that.

    The user's row remembers the place, so that no copy counts twice.
    """
    accepted = [(ORIGIN_ACCEPTED, str(accepted_ms).encode())] if accepted_ms else []
    untimed = [(ORIGIN_TIMESTAMP, NO_TIMESTAMP)] if record.timestamp < 0 else []
    keyed = [(ORIGIN_KEY, record.key)] if needs_headers(record) else []
    return [*_place_headers(origin), *accepted, *untimed, *keyed]


def _place_headers(origin: Origin) -> list[tuple[str, bytes]]:
    topic, partition, offset = origin
    return [
        (ORIGIN_TOPIC, topic.encode()),
        (ORIGIN_PARTITION, str(partition).encode()),
        (ORIGIN_OFFSET, str(offset).encode()),
    ]


def smaller_letters(letter: DeadLetter) -> Iterator[Form]:
    """What to send in the place of a letter that its topic refused, from the largest to the smallest form."""
    record = letter.record
    return smaller_forms(record.key, record.value, _own(record.headers), _ours(letter))


def smaller_forms(key: bytes | None, value: bytes | None, own: Headers, ours: Headers) -> Iterator[Form]:
    """The smaller forms of a letter: first without the larger one of its value and the record's own headers.

    Then without both, then with an empty key, last with the code and the place alone. ``ours`` say in all
    forms but the last what is left out: its size, and of key and value the SHA-256.
    """
    own_bytes = sum(len(name.encode()) + len(each or b"") for name, each in own)
    without_value: Headers = [*ours, *_left_out("value", value)] if value is not None else ours
    without_own = [("error.headers_bytes", str(own_bytes).encode())] if own else []
    if value is not None and len(value) >= own_bytes:
        yield key, None, [*own, *without_value]
    elif own:
        yield key, value, [*ours, *without_own]
    yield key, None, [*without_value, *without_own]
    short = [
        (name, each[:SHORT_MESSAGE_BYTES] if each and name == "error.message" else each)
        for name, each in ours
    ]
    left_out = [*without_value[len(ours) :], *without_own, *(_left_out("key", key) if key else [])]
    yield b"", None, [*short, *left_out]
    yield b"", None, [(name, each) for name, each in ours if name in _KEPT_WITH_THE_LEAST]


def _left_out(what: str, content: bytes) -> list[tuple[str, bytes]]:
    return [
        (f"error.{what}_bytes", str(len(content)).encode()),
        (f"error.{what}_sha256", sha256(content).hexdigest().encode()),
    ]


def _own(headers: Headers) -> Headers:
    return [each for each in headers if each[0] not in OURS]


def _ours(letter: DeadLetter) -> list[tuple[str, bytes]]:
    record = letter.record
    is_repartitioned = record.topic != letter.origin[0]
    timestamp = NO_TIMESTAMP if is_repartitioned and was_untimed(record) else str(record.timestamp).encode()
    return [
        ("error.code", letter.code.encode()),
        ("error.message", letter.message[:MESSAGE_CHARS].encode("utf-8", "replace")),
        ("error.stage", letter.stage.encode()),
        *_place_headers(letter.origin),
        (ORIGIN_TIMESTAMP, timestamp),
    ]


class LetterLog:
    """Dead letters in the log: the first of each topic and reason at once, those of its minute in one line.

    Used inside an event loop, which calls it back at the end of the minute.
    """

    def __init__(self, seconds: float = LOG_SECONDS) -> None:
        self._seconds = seconds
        self._more: Counter[tuple[str, str]] = Counter()
        self._waiting: dict[tuple[str, str], asyncio.TimerHandle] = {}
        """By topic of the letters and code."""

    def note(self, code: str, origin: Origin, reason: str, letters_topic: str) -> None:
        """A letter is in Kafka."""
        what = letters_topic, code
        if what in self._waiting:
            self._more[what] += 1
            return
        topic, partition, offset = origin
        log.warning(
            "dead_letter",
            code=code,
            topic=topic,
            partition=partition,
            offset=offset,
            reason=reason[:MESSAGE_CHARS],
            see=f"turnstile dlq show {letters_topic} --reason {code}",
        )
        self._waiting[what] = asyncio.get_running_loop().call_later(self._seconds, self._end_minute, what)

    def close(self) -> None:
        """Tell what was only counted until now."""
        for what, handle in list(self._waiting.items()):
            handle.cancel()
            self._end_minute(what)

    def _end_minute(self, what: tuple[str, str]) -> None:
        del self._waiting[what]
        more = self._more.pop(what, 0)
        if more:
            topic, code = what
            log.warning("dead_letters_more", code=code, dead_letters=topic, more=more, seconds=self._seconds)
