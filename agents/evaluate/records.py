"""Input records: bytes to checked events and profile updates (docs/contracts.md, section 1).

Nothing in a record's data raises anything but ``RecordRefused``; its ``code`` and text go to the dead
letter.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from rules.state.profile_update import ProfileUpdate
from rules.time.instants import MAX_MS, InstantInvalid, parse_instant

MAX_DEPTH = 32
"""Levels of arrays and objects in properties and attributes."""
MAX_NAME_CHARS = 512
"""Length of a user id, an event name, a record id, an attribute's name."""
_PROJECT = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
NO_PROPERTIES: dict[str, object] = {}


class RecordRefused(Exception):
    """A record can't be used. ``code`` is stable; ``stage`` is decode, validate, apply or clock."""

    def __init__(self, code: str, message: str, stage: str = "validate") -> None:
        super().__init__(message)
        self.code = code
        self.stage = stage


class InputRecord(msgspec.Struct, gc=False):
    """The native shape; unknown fields are ignored, so that producers may add some."""

    user_id: str
    type: Literal["track", "profile"] = "track"
    id: str | None = None
    project: str = "default"
    event: str | None = None
    time: str | int | float | None = None
    properties: dict[str, object] | None = None
    identities: dict[str, str] | None = None
    set: dict[str, object] | None = None
    set_once: dict[str, object] | None = None
    unset: list[str] | None = None
    add: dict[str, int | float] | None = None


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
Int64 = Annotated[int, msgspec.Meta(ge=_INT64_MIN, le=_INT64_MAX)]


class PlainEvent(msgspec.Struct, gc=False):
    """What nearly every record is: an event with flat properties. Its limits are checked while decoding."""

    user_id: Name
    event: Name
    type: Literal["track"] = "track"
    id: Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)] | None = None
    project: Literal["default"] = "default"
    time: str | int | float | None = None
    properties: dict[str, str | Int64 | float | bool | None] | None = None
    identities: None = None


_decode = msgspec.json.Decoder(InputRecord).decode
_decode_plain = msgspec.json.Decoder(PlainEvent).decode


def read_record(value: bytes | None, timestamp_ms: int, max_bytes: int) -> InputRecord | PlainEvent:
    """Decode and check one record's value. Raises RecordRefused."""
    if value is not None and len(value) <= max_bytes and timestamp_ms <= MAX_MS:
        try:
            event = _decode_plain(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # it is another kind of record, or a bad one: the long way tells
        else:
            if "\0" not in event.user_id:
                return event
    return _read_any(value, timestamp_ms, max_bytes)


def _read_any(value: bytes | None, timestamp_ms: int, max_bytes: int) -> InputRecord:
    if timestamp_ms > MAX_MS:
        raise RecordRefused("timestamp", f"the record timestamp {timestamp_ms} is after the year 9999")
    if value is None:
        raise RecordRefused("null_value", "the record has no value", "decode")
    if len(value) > max_bytes:
        raise RecordRefused(
            "too_large", f"the value has {len(value)} bytes; records.max_bytes allows {max_bytes}", "decode"
        )
    try:
        record = _decode(value)
    except msgspec.ValidationError as error:
        raise RecordRefused("invalid", str(error)) from None
    except msgspec.DecodeError as error:
        raise RecordRefused("not_json", str(error), "decode") from None
    except UnicodeDecodeError as error:
        raise RecordRefused("not_utf8", str(error), "decode") from None
    except RecursionError:
        raise RecordRefused("too_deep", f"nested deeper than {MAX_DEPTH} levels", "decode") from None
    user_id = record.user_id
    if not user_id or len(user_id) > MAX_NAME_CHARS or "\0" in user_id:
        raise RecordRefused(
            "user_id", f"user_id must have 1 to {MAX_NAME_CHARS} characters and no NUL, got {user_id[:64]!r}"
        )
    if record.project != "default" and _PROJECT.fullmatch(record.project) is None:
        raise RecordRefused(
            "project", f"project must be 1 to 64 of [A-Za-z0-9_], got {record.project[:64]!r}"
        )
    if record.type == "track":
        if not record.event or len(record.event) > MAX_NAME_CHARS:
            raise RecordRefused("event", f"event must be a name of 1 to {MAX_NAME_CHARS} characters")
        if record.properties:
            _check(record.properties, 1)
    else:
        _check_update(record)
    if record.identities:
        for name, identity in record.identities.items():
            if not 0 < len(name) <= MAX_NAME_CHARS or len(identity) > MAX_NAME_CHARS:
                raise RecordRefused("identities", f"identity {name[:64]!r} is longer than {MAX_NAME_CHARS}")
    if record.id is not None and len(record.id) > MAX_NAME_CHARS:
        raise RecordRefused("id", f"id is longer than {MAX_NAME_CHARS} characters")
    return record


def _check_update(record: InputRecord) -> None:
    if not (record.set or record.set_once or record.unset or record.add or record.identities):
        raise RecordRefused("empty_update", "a profile record needs one of set, set_once, unset, add")
    for values in (record.set, record.set_once, record.add):
        if values:
            _check(values, 1)
    for names in (record.set, record.set_once, record.add, record.unset):
        for name in names or ():
            if not 0 < len(name) <= MAX_NAME_CHARS:
                raise RecordRefused("attribute", f"attribute {name[:64]!r} is not 1 to 512 characters")


def _check(value: dict[str, object] | dict[str, int | float] | list[object], depth: int) -> None:
    """Refuse whole numbers beyond 64 bits and values nested too deep."""
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if kind is str or kind is float or kind is bool or item is None:
            continue
        if kind is int:
            if not _INT64_MIN <= item <= _INT64_MAX:  # type: ignore[operator]
                raise RecordRefused("number_range", f"{str(item)[:40]} does not fit in 64 bits")
        elif depth == MAX_DEPTH:
            raise RecordRefused("too_deep", f"nested deeper than {MAX_DEPTH} levels")
        else:
            _check(item, depth + 1)  # type: ignore[arg-type]


def event_time_ms(record: InputRecord | PlainEvent, timestamp_ms: int) -> int:
    """The record's own time, or its record timestamp. Raises RecordRefused."""
    time = record.time
    if time is None:
        return timestamp_ms
    try:
        return parse_instant(time)
    except InstantInvalid as error:
        raise RecordRefused("time", str(error)) from None


def to_update(record: InputRecord, time_ms: int) -> ProfileUpdate:
    return ProfileUpdate(
        id=record.id,
        time_ms=time_ms,
        set=record.set or NO_PROPERTIES,
        set_once=record.set_once or NO_PROPERTIES,
        unset=record.unset or (),
        add=record.add or {},
    )
