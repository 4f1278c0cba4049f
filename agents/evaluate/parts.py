"""Records that hold several native records, or none: their parts, each of one user.

A part is itself a record: it has the place of the whole, and a value of its own. All parts of a record are
taken in one step, so that one offset in a user's row speaks of all parts of that user. What a record holds
for a user of another partition is one part, because on the repartition topic one place is one record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.evaluate.steps import Limits, Record
from agents.formats.format import Format, Headers, Item
from agents.formats.records import InputRecord, time_of
from agents.formats.refused import RecordRefused
from agents.kafka.placement import ORIGIN_KEY, Place
from rules.time.instants import MAX_MS
from tables.codec import row_key


@dataclass(slots=True)
class Part:
    """``decoded``: what it says; or the reason why it is refused; None: it concerns no user."""

    whole: Record
    key: bytes | None
    """That the producer gave, also of a repartitioned record whose format reads it."""
    decoded: InputRecord | RecordRefused | None
    items: Sequence[Item]
    is_alone: bool
    """The record has no other items."""
    reads_beside_value: bool
    begun: set[bytes]
    """Keys of the rows that parts of this record were applied to, in this life of the partition."""
    row_key: bytes = b""
    time_ms: int = 0
    is_only: bool = False
    """The record is one native record, and may stand for it."""
    is_last: bool = False

    @property
    def topic(self) -> str:
        return self.whole.topic

    @property
    def partition(self) -> int:
        return self.whole.partition

    @property
    def offset(self) -> int:
        return self.whole.offset

    @property
    def timestamp(self) -> int:
        return self.whole.timestamp

    @property
    def headers(self) -> Headers:
        return self.whole.headers

    @property
    def value(self) -> bytes | None:
        """The record's own value where the part is all of it; otherwise its items alone."""
        if self.is_alone:
            return self.whole.value
        values = [each.value for each in self.items]
        return values[0] if len(values) == 1 else b"[" + b",".join(values) + b"]"


@dataclass(frozen=True, slots=True)
class Beside:
    """What a format may look at besides the value. A repartitioned record has the key that it came with."""

    key: bytes | None
    headers: Headers


def read_parts(place: Place, record: Record, format: Format, limits: Limits) -> Sequence[Part]:
    """The parts of a record, at least one. Raises RecordRefused when the record can't be split into items."""
    if record.timestamp > MAX_MS:
        raise RecordRefused("timestamp", f"the record timestamp {record.timestamp} is after the year 9999")
    value = record.value
    if value is not None and len(value) > limits.max_bytes:
        text = f"the value has {len(value)} bytes; records.max_bytes allows {limits.max_bytes}"
        raise RecordRefused("too_large", text, "decode")
    beside = _beside(place, record)
    items = format.read(value, beside)
    begun: set[bytes] = set()

    def part(decoded: InputRecord | RecordRefused | None, of: Sequence[Item]) -> Part:
        return Part(record, beside.key, decoded, of, False, format.reads_beside_value, begun)

    parts: list[Part] = []
    elsewhere: dict[str, list[Item]] = {}
    """Of users of other partitions, what the record holds for them."""
    for item in items:
        records = _timed(item.records, record.timestamp)
        if isinstance(records, RecordRefused):
            parts.append(part(records, (item,)))
        elif not records:
            parts.append(part(None, (item,)))
        elif place.owns(records[0][0].user_id):
            for decoded, time_ms in records:
                made = part(decoded, (item,))
                made.time_ms, made.row_key = time_ms, row_key(decoded.project, decoded.user_id)
                parts.append(made)
        elif (user_id := records[0][0].user_id) in elsewhere:
            elsewhere[user_id].append(item)
        else:
            elsewhere[user_id] = [item]
            made = part(records[0][0], elsewhere[user_id])
            made.row_key = row_key(records[0][0].project, user_id)
            parts.append(made)
    for each in parts:
        each.is_alone = len(each.items) == len(items)
    parts[-1].is_last = True
    parts[0].is_only = len(parts) == len(items) == 1 and not format.reads_beside_value
    return parts


def _timed(
    records: Sequence[InputRecord] | RecordRefused, timestamp_ms: int
) -> list[tuple[InputRecord, int]] | RecordRefused:
    """The records of an item with their own times (ms). One that has none refuses the item."""
    if isinstance(records, RecordRefused):
        return records
    try:
        return [(each, time_of(each.time, timestamp_ms)) for each in records]
    except RecordRefused as refusal:
        return refusal


def _beside(place: Place, record: Record) -> Beside:
    if record.topic == place.repartition_topic:
        for name, value in record.headers:
            if name == ORIGIN_KEY:
                return Beside(value, record.headers)
    return Beside(record.key, record.headers)


def whole_of(record: Record) -> Record:
    return record.whole if isinstance(record, Part) else record


def needs_headers(record: Record) -> bool:
    """Whether key and headers are part of what the record says."""
    return isinstance(record, Part) and record.reads_beside_value
