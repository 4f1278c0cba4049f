"""Records on their way into the pipeline: their bytes decoded and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from agents.evaluate.partition.request import ends_of
from agents.evaluate.parts import Part, read_parts, whole_of
from agents.evaluate.steps import DeadLetter, Limits, Record
from agents.formats.native import Native
from agents.formats.records import InputRecord
from agents.formats.refused import RecordRefused
from agents.kafka.placement import OriginInvalid, Place

ReadRecord = tuple[Record, InputRecord | None, bytes, int]
"""A record, its decoded value, its row key and its time in ms. No value: a dead letter, or, with the key
``SKIPPED``, a record that concerns no user."""
SKIPPED = b"\0"
NATIVE = Native()


def decode_records(
    place: Place, records: Sequence[Record], limits: Limits
) -> tuple[list[ReadRecord], list[DeadLetter]]:
    """Decode and check records of one source partition; what can't be used becomes a dead letter.

    A record that is no single native record gives an entry for each of its parts.
    """
    read: list[ReadRecord] = []
    letters: list[DeadLetter] = []
    if records and isinstance(records[0], Part):  # they were read before
        return [_entry(place, each, letters) for each in records if isinstance(each, Part)], letters
    for record in records:
        try:
            topic = record.topic
            if topic == place.repartition_topic:
                topic, _, _ = place.origin(record)
                place.accepted_ms(record)
                if place.is_request(record):
                    ends_of(record)
            parts = read_parts(place, record, limits.formats.get(topic) or NATIVE, limits)
            read += [_entry(place, part, letters) for part in parts]
        except RecordRefused as refusal:
            letters.append(letter_of(place, record, refusal))
            read.append((record, None, b"", 0))
        except OriginInvalid as invalid:
            where = record.topic, record.partition, record.offset
            letters.append(DeadLetter(record, where, "rekeyed_origin", str(invalid), "rekey"))
            read.append((record, None, b"", 0))
    return read, letters


def _entry(place: Place, part: Part, letters: list[DeadLetter]) -> ReadRecord:
    decoded = part.decoded
    record = part.whole if part.is_only else part
    if isinstance(decoded, RecordRefused):
        letters.append(letter_of(place, record, decoded))
        return record, None, b"", 0
    if decoded is None:
        return record, None, SKIPPED, 0
    return record, decoded, part.row_key, part.time_ms


def by_record(read: Iterable[ReadRecord]) -> Iterator[tuple[Record, list[tuple[Record, bytes]]]]:
    """Records that were read, each with its parts and their row keys; one that has no parts is its own."""
    whole: Record | None = None
    parts: list[tuple[Record, bytes]] = []
    for record, _, key, _ in read:
        if whole is not (of := whole_of(record)):
            if whole is not None:
                yield whole, parts
            whole, parts = of, []
        parts.append((record, key))
    if whole is not None:
        yield whole, parts


def letter_of(place: Place, record: Record, refusal: RecordRefused) -> DeadLetter:
    """The dead letter of a record that is refused."""
    return DeadLetter(record, place.origin(record), refusal.code, str(refusal), refusal.stage)
