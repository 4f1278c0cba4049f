"""What a source format is: pure functions from a record's bytes and headers to native records.

A value may hold several records, as a list or in an envelope. Each of them is an *item*: it is good or bad
by itself, and it can stand alone in a value of the same format, so that the item alone becomes a dead letter
or goes to its user's partition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from agents.formats.json import read_json, write_json
from agents.formats.records import InputRecord
from agents.formats.refused import RecordRefused

MOST_ENVELOPES = 4
"""Lists and envelopes in one another."""

Headers = Sequence[tuple[str, bytes | None]]


class Sent(Protocol):
    """What of a Kafka record a format may look at besides its value."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


@dataclass(frozen=True, slots=True)
class Item:
    """One record of a value. ``records``: the native ones it says, applied in this order, all of one user.

    None of them: it is right, and concerns no user. ``body`` is the item alone: bytes, JSON, or a function
    that makes it, because it is needed only of dead letters and of users of other partitions.
    """

    records: Sequence[InputRecord] | RecordRefused
    body: object

    @property
    def alone(self) -> object:
        return self.body() if callable(self.body) else self.body

    @property
    def value(self) -> bytes:
        body = self.alone
        return body if isinstance(body, bytes) else write_json(body)


class Format(Protocol):
    """A source format. Its methods raise nothing but RecordRefused, when not even the items can be told."""

    @property
    def name(self) -> str: ...

    @property
    def reads_beside_value(self) -> bool:
        """Key and headers are part of what a record says."""

    def read(self, value: bytes | None, sent: Sent) -> Sequence[Item]:
        """The items of a value; one that is no batch is one item."""

    def read_body(self, body: object, sent: Sent) -> Sequence[Item]:
        """Likewise of a value that was JSON in another one."""


Read = Callable[[dict[str, Any]], Sequence[InputRecord]]
"""The native records of one object. Raises RecordRefused."""


def read_value(value: bytes | None) -> object:
    """The JSON of a record's value. Raises RecordRefused."""
    if value is None:
        raise RecordRefused("null_value", "the record has no value", "decode")
    return read_json(value)


def in_lists(body: object, read: Callable[[object, int], Sequence[Item]], depth: int = 0) -> Sequence[Item]:
    """The items of a body, or of each body of a list; ``read`` gets each with its depth.

    One that can't be read is a bad item, and its neighbours are taken. Raises RecordRefused.
    """
    if not isinstance(body, list):
        return read(body, depth)
    if depth == MOST_ENVELOPES:
        raise RecordRefused("too_deep", f"more than {MOST_ENVELOPES} lists in one another")
    if not body:
        raise RecordRefused("empty_batch", "the list holds no record")
    found: list[Item] = []
    for each in body:
        try:
            found += in_lists(each, read, depth + 1)
        except RecordRefused as refusal:
            found.append(Item(refusal, each))
    return found


def items_of(body: object, read: Read, envelope: str = "") -> Sequence[Item]:
    """The items of an object, a list of objects, or an object that has such a list under ``envelope``.

    Raises RecordRefused.
    """

    def objects(body: object, depth: int) -> Sequence[Item]:
        if not isinstance(body, dict):
            raise RecordRefused("invalid", f"Expected `object`, got `{kind_of(body)}`")
        inner = body.get(envelope) if envelope else None
        if not isinstance(inner, list):
            return [one(body, lambda: read(body))]
        return [
            Item(item.records, partial(_enveloped, body, envelope, item))
            for item in in_lists(inner, objects, depth)
        ]

    return in_lists(body, objects)


def one(body: object, read: Callable[[], Sequence[InputRecord]]) -> Item:
    """The item of one body, good or bad."""
    try:
        records = read()
        if len({(each.project, each.user_id) for each in records}) > 1:
            raise RecordRefused("user_id", "the records that one item gives are of different users")
        return Item(records, body)
    except RecordRefused as refusal:
        return Item(refusal, body)
    except RecursionError:
        return Item(RecordRefused("too_deep", "nested too deep to be read"), body)


def _enveloped(body: dict[str, Any], envelope: str, item: Item) -> object:
    return {**body, envelope: [item.alone]}


def kind_of(value: object) -> str:
    """What JSON calls a value, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    names = {str: "str", int: "int", float: "float", list: "array", dict: "object"}
    return names.get(type(value), type(value).__name__)
