"""Lines of an events file as Kafka records: their timestamps, whatever their format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from agents.evaluate.parts import Beside
from agents.formats.format import Format
from agents.formats.json import read_json
from agents.formats.native import Native
from agents.formats.records import time_of
from agents.formats.refused import RecordRefused
from rules.time.instants import InstantInvalid, parse_instant

TOPIC = "simulate"
"""Name of the source topic in the rows; nothing that comes out has it."""
NATIVE = Native()
NOTHING_BESIDE = Beside(None, ())


class Stamp(msgspec.Struct):
    """What of a native line is needed before the pipeline reads it."""

    timestamp: object = None
    time: object = None
    user_id: object = None


_decode = msgspec.json.Decoder(Stamp).decode


@dataclass(slots=True)
class LineRecord:
    """A line of the events file as a Kafka record. ``timestamp`` in ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    topic: str = TOPIC
    partition: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def line_record(offset: int, line: bytes, format: Format | None) -> LineRecord:
    """A line in a format (None: native). Raises RecordRefused when not even its timestamp can be read.

    The record timestamp is the field ``timestamp`` of a native record, otherwise the first time that the
    line's records have; of a line that concerns no user it is 0, which moves nothing.
    """
    if format is not None:
        return LineRecord(offset, _first_time_ms(line, format), None, line)
    stamp = stamp_of(line)
    try:
        timestamp_ms = parse_instant(stamp.time if stamp.timestamp is None else stamp.timestamp)
    except InstantInvalid as error:
        if stamp.timestamp is None and stamp.time is None:
            raise RecordRefused("timestamp", "neither timestamp nor time is given") from None
        raise RecordRefused("time" if stamp.timestamp is None else "timestamp", str(error)) from None
    key = stamp.user_id.encode() if isinstance(stamp.user_id, str) else None
    return LineRecord(offset, timestamp_ms, key, line)


def stamp_of(line: bytes) -> Stamp:
    """That of the line, or of the first record in its list."""
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        body = read_json(line)
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        _refuse(line, NATIVE)
        raise RecordRefused("timestamp", "neither timestamp nor time is given")
    return Stamp(first.get("timestamp"), first.get("time"), first.get("user_id"))


def _first_time_ms(line: bytes, format: Format) -> int:
    items = format.read(line, NOTHING_BESIDE)
    said = [records for item in items if not isinstance(records := item.records, RecordRefused)]
    for records in said:
        for record in records:
            if record.time is not None:
                return time_of(record.time, 0)
    if not said:
        _refuse(line, format)
    if any(said):
        raise RecordRefused("timestamp", "no record of the line says when it happened")
    return 0


def _refuse(line: bytes, format: Format) -> None:
    """Raises the first RecordRefused that the format has for the line, if any."""
    for item in format.read(line, NOTHING_BESIDE):
        if isinstance(item.records, RecordRefused):
            raise item.records
