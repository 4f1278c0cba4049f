"""From the lines of a file to native records with their times."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from msgspec.structs import astuple

from agents.formats.format import Format
from agents.formats.native import read_plain
from agents.formats.records import InputRecord, time_of
from agents.formats.refused import RecordRefused
from app.failures import CommandFailed
from app.imports.content import BadLine
from app.settings.formats import FormatUnknown, format_of
from app.settings.tree import Settings
from app.simulate.lines import NATIVE, NOTHING_BESIDE, Stamp, stamp_of
from app.simulate.log_file import CSV, csv_records, parse_columns
from rules.time.instants import MAX_MS, InstantInvalid, parse_instant

_decode_stamp = msgspec.json.Decoder(Stamp).decode
_encode = msgspec.json.Encoder().encode


class _Written(InputRecord, gc=False, omit_defaults=True):
    """A record that becomes native JSON again: without what it doesn't say."""


class TimedRecord(NamedTuple):
    """A native record: its timestamp (ms), its user, its JSON."""

    timestamp: int
    user_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read. ``columns`` None: they are JSON lines in the format (None: native)."""

    description: str
    """Two readings with the same description take the same records from a file."""
    format: Format | None
    columns: Mapping[str, str] | None
    max_bytes: int
    """Of a record's value."""

    def records(
        self, lines: Iterable[bytes], after: int, bad: BadLine
    ) -> Iterator[tuple[int, Sequence[TimedRecord]]]:
        """The good records of each line after line number ``after``; of the others ``bad`` is told.

        Raises CommandFailed for a CSV header that lacks a column.
        """

        def bad_after(number: int, code: str, message: str) -> None:
            if number > after:
                bad(number, code, message)

        if self.columns is not None:
            lines = csv_records(lines, self.columns, bad_after)
        for number, line in enumerate(lines, 1):
            if number <= after or line.isspace():
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            try:
                found = self._read(line, number, bad)
            except RecordRefused as refused:
                bad(number, refused.code, str(refused))
            else:
                if found:
                    yield number, found

    def is_whole(self, line: bytes, header: bytes) -> bool:
        """Whether a last line that has no line end can be read all the same.

        ``header``: the first line. Half a row of CSV may look like a row; one with all its cells is taken.
        """
        if line.isspace() or not line:
            return True
        if self.columns is not None and line != header:
            lines: Sequence[bytes] = (header, line)
            if header.count(_delimiter(header)) != line.count(_delimiter(header)):
                return False
        else:
            lines = (line,)
        faults: list[str] = []
        found = list(self.records(lines, 0, lambda _, code, message: faults.append(message)))
        return not faults and (bool(found) or self.columns is not None)

    def _read(self, line: bytes, number: int, bad: BadLine) -> Sequence[TimedRecord]:
        """The good records of a line. Raises RecordRefused when not even its items can be told."""
        if self.format is None and (plain := self._plain(line)) is not None:
            return (plain,)
        found: list[TimedRecord] = []
        for item in (self.format or NATIVE).read(line, NOTHING_BESIDE):
            try:
                if isinstance(item.records, RecordRefused):
                    raise item.records
                if self.format is None:
                    found.append(self._native(item.records[0], item.value))
                else:
                    found += [self._timed(each) for each in item.records]
            except RecordRefused as refused:
                bad(number, refused.code, str(refused))
        return found

    def _plain(self, line: bytes) -> TimedRecord | None:
        """What nearly every native line is, read with little work; None: the long way tells."""
        try:
            stamp = _decode_stamp(line)
            timestamp = parse_instant(stamp.time if stamp.timestamp is None else stamp.timestamp)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InstantInvalid):
            return None
        value = line.strip()
        plain = read_plain(value, timestamp, self.max_bytes)
        if plain is None or timestamp < 0:
            return None
        time_of(plain.time, timestamp)
        return TimedRecord(timestamp, str(plain.user_id), value)

    def _native(self, record: InputRecord, value: bytes) -> TimedRecord:
        """Raises RecordRefused."""
        stamp = stamp_of(value)
        given, field = (stamp.time, "time") if stamp.timestamp is None else (stamp.timestamp, "timestamp")
        try:
            timestamp = _checked(parse_instant(given))
        except InstantInvalid as error:
            if given is None:
                raise _without_time() from None
            raise RecordRefused(field, str(error)) from None
        time_of(record.time, timestamp)
        return TimedRecord(timestamp, record.user_id, self._sized(value.strip()))

    def _timed(self, record: InputRecord) -> TimedRecord:
        """Raises RecordRefused."""
        if record.time is None:
            raise _without_time()
        timestamp = _checked(time_of(record.time, 0))
        return TimedRecord(timestamp, record.user_id, self._sized(_encode(_Written(*astuple(record)))))

    def _sized(self, value: bytes) -> bytes:
        if len(value) > self.max_bytes:
            text = f"the record has {len(value)} bytes; records.max_bytes allows {self.max_bytes}"
            raise RecordRefused("too_large", text)
        return value


def make_reading(
    settings: Settings, source: str | None, name: str | None, columns: Sequence[str] | None
) -> Reading:
    """What ``--source``, ``--format`` and ``--column`` ask for. Raises CommandFailed."""
    max_bytes = settings.records.max_bytes
    if name == CSV:
        parsed = parse_columns(columns or ())
        shown = " ".join(f"{field}={column}" for field, column in sorted(parsed.items()))
        return Reading(f"{CSV} {shown}".strip(), None, parsed, max_bytes)
    if columns:
        raise CommandFailed("--column is for --format csv")
    try:
        format = format_of(settings.sources, source, name)
    except FormatUnknown as unknown:
        raise CommandFailed(f"{unknown}; or csv") from None
    if format is None:
        return Reading(NATIVE.name, None, None, max_bytes)
    given = next((each for each in settings.sources.formats if each.topic == source), None)
    described = format.name
    if given is not None and (given.mapping is not None or given.mapping_file is not None):
        mapping = given.mapping if given.mapping_file is None else given.mapping_file.read_text("utf-8")
        digest = hashlib.sha256(json.dumps(mapping, sort_keys=True, default=str).encode()).hexdigest()
        described = f"{format.name} {given.data_format or ''} {digest[:12]}"
    elif given is not None and given.data_format is not None:
        described = f"{format.name} {given.data_format}"
    return Reading(described, format, None, max_bytes)


def _checked(timestamp: int) -> int:
    if not 0 <= timestamp <= MAX_MS:
        raise RecordRefused("timestamp", "Kafka keeps no timestamp before 1970 or after 9999")
    return timestamp


def _without_time() -> RecordRefused:
    return RecordRefused("timestamp", "nothing says when it happened: it needs a time")


def _delimiter(header: bytes) -> bytes:
    return max((b",", b";", b"\t", b"|"), key=header.count)
