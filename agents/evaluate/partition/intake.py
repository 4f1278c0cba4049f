"""Records on their way into the pipeline: their bytes decoded and checked."""

from __future__ import annotations

from collections.abc import Sequence

from agents.evaluate.records import InputRecord, PlainEvent, RecordRefused, event_time_ms, read_record
from agents.evaluate.steps import DeadLetter, Limits, Record
from agents.kafka.placement import OriginInvalid, Place
from tables.codec import row_key

ReadRecord = tuple[Record, InputRecord | PlainEvent | None, bytes, int]
"""A record, its decoded value (None: a dead letter), its row key and its time in ms."""


def decode_records(
    place: Place, records: Sequence[Record], limits: Limits
) -> tuple[list[ReadRecord], list[DeadLetter]]:
    """Decode and check records of one source partition; what can't be used becomes a dead letter."""
    read: list[ReadRecord] = []
    letters: list[DeadLetter] = []
    max_bytes = limits.max_bytes
    is_repartitioned = bool(records) and records[0].topic == place.repartition_topic
    for record in records:
        try:
            if is_repartitioned:
                place.origin(record)
                place.accepted_ms(record)
            decoded = read_record(record.value, record.timestamp, max_bytes)
            time_ms = event_time_ms(decoded, record.timestamp)
        except RecordRefused as refusal:
            letters.append(letter_of(place, record, refusal))
            read.append((record, None, b"", 0))
            continue
        except OriginInvalid as invalid:
            where = record.topic, record.partition, record.offset
            letters.append(DeadLetter(record, where, "rekeyed_origin", str(invalid), "rekey"))
            read.append((record, None, b"", 0))
            continue
        if decoded.project == "default":
            key = decoded.user_id.encode()
        else:
            key = row_key(decoded.project, decoded.user_id)
        read.append((record, decoded, key, time_ms))
    return read, letters


def letter_of(place: Place, record: Record, refusal: RecordRefused) -> DeadLetter:
    """The dead letter of a record that is refused."""
    return DeadLetter(record, place.origin(record), refusal.code, str(refusal), refusal.stage)
