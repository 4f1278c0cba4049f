"""Headers of dead letters and of re-keyed records (spec: contracts.md, section 1)."""

from __future__ import annotations

from agents.placement import ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC, Origin
from agents.steps import DeadLetter, Record

MESSAGE_CHARS = 1000


def dead_letter_headers(letter: DeadLetter) -> list[tuple[str, bytes]]:
    """The record's own headers, then why and whence. Its key and value stay as they are."""
    record = letter.record
    return [
        *record.headers,
        ("error.code", letter.code.encode()),
        ("error.message", letter.message[:MESSAGE_CHARS].encode("utf-8", "replace")),
        ("error.stage", letter.stage.encode()),
        *_origin(letter.origin),
        ("source.timestamp", str(record.timestamp).encode()),
    ]


def rekey_headers(record: Record, origin: Origin) -> list[tuple[str, bytes]]:
    """Where the producer wrote it: the user's row remembers that offset, so that no copy counts twice."""
    return [*record.headers, *_origin(origin)]


def _origin(origin: Origin) -> list[tuple[str, bytes]]:
    topic, partition, offset = origin
    return [
        (ORIGIN_TOPIC, topic.encode()),
        (ORIGIN_PARTITION, str(partition).encode()),
        (ORIGIN_OFFSET, str(offset).encode()),
    ]
