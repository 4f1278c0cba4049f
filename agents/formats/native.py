"""The native format (docs/contracts.md, section 1): the one that costs least to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from agents.formats.format import Item, Sent, in_lists, items_of, one
from agents.formats.json import is_mendable, mend_json, read_json, refusal_of
from agents.formats.records import MAX_NAME_CHARS, InputRecord, check, native, says_nothing
from agents.formats.refused import RecordRefused
from rules.time.instants import MAX_MS

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
if TYPE_CHECKING:
    UserId = Name
else:
    UserId = Name | Int64  # ``read_plain`` makes it text


class PlainEvent(msgspec.Struct, gc=False):
    """What nearly every record is: an event with flat properties. Its limits are checked while decoding."""

    user_id: UserId
    event: Name
    type: Literal["track"] = "track"
    id: Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)] | None = None
    project: Literal["default"] = "default"
    time: str | int | float | None = None
    properties: dict[str, str | Int64 | float | bool | None] | None = None
    identities: None = None


_decode = msgspec.json.Decoder(InputRecord).decode
_decode_plain = msgspec.json.Decoder(PlainEvent).decode
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read_plain(value: bytes | None, timestamp_ms: int, max_bytes: int) -> PlainEvent | None:
    """A plain event; None: it is another kind of record, or a bad one, which the long way tells."""
    if value is None or len(value) > max_bytes or timestamp_ms > MAX_MS:
        return None
    try:
        event = _decode_plain(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if type(event.user_id) is not str:
        event.user_id = str(event.user_id)
    return event if "\0" not in event.user_id else None


class Native:
    """The native format, for whatever is no plain event."""

    name = "native"
    reads_beside_value = False

    def read(self, value: bytes | None, sent: Sent) -> Sequence[Item]:
        if value is None:
            raise RecordRefused("null_value", "the record has no value", "decode")
        if not _is_list(value):
            return (Item((read_record(value),), value),)
        try:
            return in_lists(_split(value), _read_part)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self.read_body(read_json(value), sent)

    def read_body(self, body: object, sent: Sent) -> Sequence[Item]:
        return items_of(body, lambda fields: (_checked(native(fields)),))


def _is_list(value: bytes) -> bool:
    return value[:1] == b"[" or value.lstrip(b" \t\r\n")[:1] == b"["


def _read_part(part: object, depth: int) -> Sequence[Item]:
    """The items of a part of a list, as bytes. Raises RecordRefused."""
    assert isinstance(part, msgspec.Raw)
    value = bytes(part)
    if _is_list(value):
        return in_lists(_split(value), _read_part, depth)
    return (one(value, lambda: (read_record(value),)),)


def read_record(value: bytes) -> InputRecord:
    """One native record. Raises RecordRefused."""
    try:
        return _checked(check(_decode(value)))
    except msgspec.ValidationError as error:
        body = read_json(value)
        if not isinstance(body, dict):
            raise refusal_of(error) from None
        return _checked(native(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        body = mend_json(value, error) if is_mendable(value, error) else None
        if not isinstance(body, dict):
            raise refusal_of(error) from None
        return _checked(native(body))


def _checked(record: InputRecord) -> InputRecord:
    if record.type == "profile" and says_nothing(record):
        fields = "set, set_once, unset, add, append, unset_all"
        raise RecordRefused("empty_update", f"a profile record needs one of {fields}")
    return record
