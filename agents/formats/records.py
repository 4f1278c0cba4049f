"""What every source format gives: checked events and profile updates (docs/contracts.md, section 1).

Nothing in a record's data raises anything but ``RecordRefused``; its ``code`` and text go to the dead
letter.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from agents.formats.json import bounded
from agents.formats.refused import RecordRefused
from rules.state.profile_update import ProfileUpdate
from rules.time.instants import InstantInvalid, parse_instant

MAX_NAME_CHARS = 512
"""Length of a user id, an event name, a record id, an attribute's name."""
_PROJECT = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_EXACT = 2**53
"""Floats beyond stand for several whole numbers."""
NO_PROPERTIES: dict[str, object] = {}


class InputRecord(msgspec.Struct, gc=False):
    """The native shape; unknown fields are ignored, so that producers may add some."""

    user_id: str
    type: Literal["track", "profile", "delete"] = "track"
    id: str | None = None
    project: str = "default"
    event: str | None = None
    time: str | int | float | None = None
    properties: dict[str, object] | None = None
    identities: dict[str, str | None] | None = None
    """By namespace; null takes one back."""
    set: dict[str, object] | None = None
    set_once: dict[str, object] | None = None
    unset: list[str] | None = None
    add: dict[str, int | float] | None = None
    append: dict[str, list[object]] | None = None
    unset_all: bool = False


def check(record: InputRecord) -> InputRecord:
    """The record, with numbers that don't fit in 64 bits as floats. Raises RecordRefused."""
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
            bounded(record.properties)
    elif record.type == "profile":
        _check_update(record)
    if record.identities:
        for name, identity in record.identities.items():
            if not 0 < len(name) <= MAX_NAME_CHARS or len(identity or "") > MAX_NAME_CHARS:
                raise RecordRefused("identities", f"identity {name[:64]!r} is longer than {MAX_NAME_CHARS}")
    if record.id is not None and len(record.id) > MAX_NAME_CHARS:
        raise RecordRefused("id", f"id is longer than {MAX_NAME_CHARS} characters")
    return record


def says_nothing(record: InputRecord) -> bool:
    """Whether a profile record changes neither attributes nor identities."""
    changes = record.set or record.set_once or record.unset or record.add or record.append or record.unset_all
    return not (changes or record.identities)


def _check_update(record: InputRecord) -> None:
    changed: tuple[dict[str, Any] | None, ...] = (record.set, record.set_once, record.add, record.append)
    for values in changed:
        if values:
            bounded(values)
    for names in (*changed, record.unset):
        for name in names or ():
            if not 0 < len(name) <= MAX_NAME_CHARS:
                raise RecordRefused("attribute", f"attribute {name[:64]!r} is not 1 to 512 characters")


def native(fields: dict[str, Any]) -> InputRecord:
    """The record of native fields that came in any shape: numeric ids become their digits.

    Raises RecordRefused.
    """
    identities = fields.get("identities")
    fields = dict(fields)
    for name in ("user_id", "id"):
        if fields.get(name) is not None:
            fields[name] = as_id(fields[name], name)
    for name in ("properties", "set", "set_once", "add", "append", "identities"):
        if fields.get(name) == []:  # as PHP writes an empty map
            fields[name] = None
    if isinstance(identities, dict):
        fields["identities"] = {name: as_id(each, "identities") for name, each in identities.items()}
    try:
        return check(msgspec.convert(fields, InputRecord))
    except msgspec.ValidationError as error:
        raise RecordRefused("invalid", str(error)) from None


def as_id(value: object, field: str) -> object:
    """An id as text: a whole number is its decimal digits. What can't be an id stays, for the next check."""
    if type(value) is int or (type(value) is float and value.is_integer() and abs(value) <= _EXACT):
        try:
            return str(int(value))
        except ValueError:  # Python writes no more than some thousand digits
            raise RecordRefused(field, f"{field} is longer than {MAX_NAME_CHARS} characters") from None
    return value


def time_of(time: str | int | float | None, timestamp_ms: int) -> int:
    """A record's own time (ms), or its record timestamp. Raises RecordRefused."""
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
        append=record.append or {},
        unset_all=record.unset_all,
    )
