"""CloudEvents 1.0 on Kafka (the protocol binding's binary and structured modes, and batches of the latter).

``data`` is read by another format; what it leaves open the attributes say: ``subject`` the user, ``type`` the
event's name, ``time``, and ``source`` with ``id`` the id, because only both together are unique. Extension
attributes become properties of an event, unless it has properties of these names.

Specification: https://github.com/cloudevents/spec, ``cloudevents/bindings/kafka-protocol-binding.md``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Final

from agents.formats.fields import first_of
from agents.formats.format import Format, Item, Sent, in_lists, read_value
from agents.formats.json import bounded, read_json
from agents.formats.records import MAX_NAME_CHARS, InputRecord
from agents.formats.refused import RecordRefused

PREFIX: Final = "ce_"
CONTENT_TYPE: Final = "content-type"
STRUCTURED: Final = "application/cloudevents"
REQUIRED: Final = ("specversion", "id", "source", "type")
ATTRIBUTES: Final = frozenset({*REQUIRED, "subject", "time", "datacontenttype", "dataschema"})
DATA: Final = ("data", "data_base64")
NATIVE, PROPERTIES, MAPPING = "native", "properties", "mapping"
_USER: Final = {NATIVE: "user_id", "segment": "userId", "sensors": "distinct_id"}
"""The field of each data format that ``subject`` stands for."""
_NOT_EXTENSIONS: Final = ATTRIBUTES | set(DATA)

Event = dict[str, Any]
"""As structured mode has it."""


@dataclass(frozen=True, slots=True)
class CloudEvents:
    """The format ``cloudevents``; ``data`` is that of the data."""

    data: DataFormat

    @property
    def name(self) -> str:
        return "cloudevents"

    @property
    def reads_beside_value(self) -> bool:
        return True

    def read(self, value: bytes | None, sent: Sent) -> Sequence[Item]:
        headers = {name.lower(): each or b"" for name, each in sent.headers}
        content_type = _text(headers.get(CONTENT_TYPE, b""))
        if content_type.lower().startswith(STRUCTURED) or f"{PREFIX}specversion" not in headers:
            return self.read_body(read_value(value), sent)
        event: Event = {
            name.removeprefix(PREFIX): _text(each)
            for name, each in headers.items()
            if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in DATA
        }
        if content_type:
            event["datacontenttype"] = content_type
        if value:
            _check_content(event)
            event["data"] = body = read_json(value)
            if _is_structured(body):  # a part of a batch that came in binary mode
                return self.read_body(body, sent)
        found = self._items(event, sent)
        return [Item(found[0].records, value or b"")] if len(found) == 1 else found

    def read_body(self, body: object, sent: Sent) -> Sequence[Item]:
        return in_lists(body, lambda each, _: self._items(each, sent))

    def _items(self, event: object, sent: Sent) -> Sequence[Item]:
        """Those of one event in structured form."""
        if not isinstance(event, dict) or "specversion" not in event:
            told = f"neither structured (specversion in the value) nor binary (header {PREFIX}specversion)"
            raise RecordRefused("cloudevents", f"it is no CloudEvent: {told}")
        _check_attributes(event)
        data = _data(event)
        inner = self.data.format.read_body(self.data.body(event, data), sent)
        if len(inner) == 1:
            return [Item(_completed(inner[0], event, ""), event)]
        bare = {name: each for name, each in event.items() if name not in DATA}
        return [
            Item(_completed(item, event, f"#{at}"), partial(self._alone, bare, item, at))
            for at, item in enumerate(inner)
        ]

    def _alone(self, bare: Event, item: Item, at: int) -> Event:
        return {**bare, "id": f"{bare['id']}#{at}", "data": self.data.back(item.alone)}


@dataclass(frozen=True, slots=True)
class DataFormat:
    """How the data of events is written: ``name`` is that in the settings."""

    name: str
    format: Format

    def body(self, event: Event, data: object) -> object:
        """What ``format`` is to read. ``subject`` is the user where the data names none."""
        subject, kind = event.get("subject"), event["type"]
        if self.name == PROPERTIES:
            return {"user_id": subject, "event": kind, "properties": data}
        if self.name == MAPPING:
            return {**event, "data": data}
        if isinstance(data, list):
            return [self._one(each, subject, kind) for each in data]
        return self._one(data, subject, kind)

    def back(self, body: object) -> object:
        """The data alone, of a body that ``format`` gave back."""
        if self.name == MAPPING and isinstance(body, dict):
            return body.get("data")
        return body

    def _one(self, data: object, subject: object, kind: str) -> object:
        if not isinstance(data, dict):
            return data
        said = dict(data)
        field = _USER[self.name]
        if subject is not None and first_of(said, field) is None and "anonymousId" not in said:
            said[field] = subject
        if self.name == NATIVE and said.get("event") is None and said.get("type", "track") == "track":
            said["event"] = kind
        return said


def _completed(item: Item, event: Event, suffix: str) -> Sequence[InputRecord] | RecordRefused:
    """The records of an item, with what the attributes say besides."""
    if isinstance(item.records, RecordRefused):
        return item.records
    extensions = {
        name: each
        for name, each in event.items()
        if name not in _NOT_EXTENSIONS and isinstance(each, str | bool | int)  # they have no other types
    }
    for at, record in enumerate(item.records):
        if record.id is None:
            record.id = _event_id(event, suffix if not at else f"{suffix}#{at}")
        if record.time is None:
            record.time = event.get("time")
        if extensions and record.type == "track":
            record.properties = extensions | (record.properties or {})
            bounded(record.properties)
    return item.records


def _event_id(event: Event, suffix: str) -> str:
    """Unique together with the source; too long for an id, its SHA-256."""
    text = f"{event['source']}#{event['id']}{suffix}"
    return text if len(text) <= MAX_NAME_CHARS else sha256(text.encode("utf-8", "replace")).hexdigest()


def _check_attributes(event: Event) -> None:
    """Raises RecordRefused."""
    for name in REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise RecordRefused("cloudevents", f"the attribute {name} must be text that is not empty")
    if not event["specversion"].startswith("1."):
        shown = event["specversion"][:64]
        raise RecordRefused("cloudevents", f"specversion must be 1.0, got {shown!r}")
    for name in ("subject", "time"):
        if event.get(name) is not None and not isinstance(event[name], str):
            raise RecordRefused("cloudevents", f"the attribute {name} must be text")


def _check_content(event: Event) -> None:
    """Raises RecordRefused for data that isn't JSON by its content type."""
    said = event.get("datacontenttype")
    kind = said.partition(";")[0].strip().lower() if isinstance(said, str) else ""
    if kind and not (kind.endswith(("/json", "+json"))):
        raise RecordRefused("content_type", f"data of the content type {kind[:64]!r} can't be read", "decode")


def _data(event: Event) -> object:
    """The data as JSON; none is an empty object. Raises RecordRefused."""
    encoded = event.get("data_base64")
    if encoded is None:
        data = event.get("data")
        return {} if data is None else data
    _check_content(event)
    try:
        return read_json(base64.b64decode(encoded if isinstance(encoded, str) else b"", validate=True))
    except (binascii.Error, ValueError) as error:
        raise RecordRefused("cloudevents", f"data_base64 is not Base64: {error}", "decode") from None


def _is_structured(body: object) -> bool:
    first = body[0] if isinstance(body, list) and body else body
    return isinstance(first, dict) and all(isinstance(first.get(name), str) for name in REQUIRED)


def _text(header: bytes) -> str:
    return header.decode("utf-8", "replace")
