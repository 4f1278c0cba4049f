"""Records that the core doesn't read by itself: Python's reader makes them, or their dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from agents.evaluate.partition.intake import SKIPPED, decode_records
from agents.evaluate.parts import Part
from agents.evaluate.steps import DeadLetter, Limits, Record
from agents.formats.records import InputRecord
from agents.kafka.placement import Place

_encode = msgspec.msgpack.Encoder().encode


class SeveralParts(Exception):
    """A record holds several native records, or something that only Python has: Python takes the slice."""


@dataclass(slots=True)
class OddRecords:
    """The odd records of a slice, by their places in it."""

    read: list[tuple[int, bytes | None]] = field(default_factory=list)
    """As the core takes them; None: a dead letter, or it concerns no user."""
    letters: list[tuple[int, DeadLetter]] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)


def read_odd(place: Place, records: Sequence[Record], at: Iterable[int], limits: Limits) -> OddRecords:
    """Raises SeveralParts."""
    found = OddRecords()
    for each in at:
        read, letters = decode_records(place, [records[each]], limits)
        found.letters += [(each, letter) for letter in letters]
        record, decoded, key, time_ms = read[0]
        if decoded is not None and decoded.type == "delete":
            raise SeveralParts
        if len(read) > 1 or isinstance(record, Part):
            raise SeveralParts
        if decoded is None and key == SKIPPED:
            found.skipped.append(each)
        found.read.append((each, None if decoded is None else _given(decoded, time_ms)))
    return found


def _given(record: InputRecord, time_ms: int) -> bytes:
    """A record as ``core/src/input`` takes it from Python. Raises SeveralParts."""
    if record.identities and None in record.identities.values():  # only Python takes identities back
        raise SeveralParts
    fields: list[object] = [
        record.user_id,
        record.project,
        record.type,
        record.id,
        record.event,
        None if record.time is None else time_ms,
        record.properties,
        record.identities,
        record.set,
        record.set_once,
        record.unset,
        record.add,
        record.append,
        record.unset_all,
    ]
    try:
        return _encode(fields)
    except (OverflowError, UnicodeEncodeError, RecursionError):
        raise SeveralParts from None
