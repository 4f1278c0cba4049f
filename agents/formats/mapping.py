"""The format ``mapping``: any other JSON, read as the settings say (docs/source-formats.md).

For each native field there is a *source*: a path, a constant, a template, a header, the key, or several of
which the first that is there counts. ``agents.formats.mapping_parse`` makes them of the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from agents.formats.fields import identity
from agents.formats.format import Item, Sent, in_lists, kind_of, one, read_value
from agents.formats.paths import MISSING, Path, find, replaced
from agents.formats.records import InputRecord, as_id, native
from agents.formats.refused import RecordRefused
from rules.time.instants import MAX_MS, MIN_MS, format_instant

UNITS: Final[Mapping[str, tuple[int, int]]] = {
    "s": (1000, 1),
    "ms": (1, 1),
    "us": (1, 1000),
    "ns": (1, 1_000_000),
}
"""Of numbers that are times: by what to multiply and to divide them for milliseconds."""
KINDS: Final = ("text", "number", "boolean")
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})
UPDATES: Final = ("set", "set_once", "unset", "add", "append", "unset_all")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a source may look at: the item, the value that it is in, key and headers."""

    item: Any
    root: Any
    sent: Sent


Source: TypeAlias = Callable[[Seen], Any]
"""The value of a field, or MISSING."""


@dataclass(frozen=True, slots=True)
class RecordMap:
    """How one native record is made of an item. ``when``: only of items that this is true of."""

    fields: Mapping[str, Source]
    when: Callable[[Mapping[str, object]], bool] | None = None

    def read(self, seen: Seen) -> InputRecord | None:
        """None: it isn't for this item. Raises RecordRefused."""
        if self.when is not None and not (isinstance(seen.item, dict) and self.when(seen.item)):
            return None
        fields = {name: value for name, of in self.fields.items() if (value := of(seen)) is not MISSING}
        if fields.get("user_id") in (None, ""):
            raise RecordRefused("user_id", "the mapping finds no user_id in the record")
        if "type" not in self.fields and not self.fields.keys().isdisjoint(UPDATES):
            fields["type"] = "profile"
        return native(_tidied(fields))


@dataclass(frozen=True, slots=True)
class Mapped:
    """The format ``mapping``. ``each``: where a value has the list of its items; None: it is one."""

    records: Sequence[RecordMap]
    each: Path | None = None
    reads_beside_value: bool = False

    @property
    def name(self) -> str:
        return "mapping"

    def read(self, value: bytes | None, sent: Sent) -> Sequence[Item]:
        return self.read_body(read_value(value), sent)

    def read_body(self, body: object, sent: Sent) -> Sequence[Item]:
        return in_lists(body, lambda each, _: self._of(each, sent))

    def _of(self, root: object, sent: Sent) -> Sequence[Item]:
        if self.each is None:
            return [one(root, lambda: self._records(Seen(root, root, sent)))]
        listed = find(root, self.each)
        if not isinstance(listed, list) or not listed:
            found = "nothing" if listed is MISSING else "an empty list" if listed == [] else kind_of(listed)
            return [
                Item(RecordRefused("each", f"where `each` says, there must be a list, not {found}"), root)
            ]
        path = self.each
        return [self._item(root, each, path, sent) for each in listed]

    def _item(self, root: object, element: object, path: Path, sent: Sent) -> Item:
        found = one(None, lambda: self._records(Seen(element, root, sent)))
        return Item(found.records, partial(replaced, root, path, [element]))

    def _records(self, seen: Seen) -> Sequence[InputRecord]:
        made = [each.read(seen) for each in self.records]
        return [each for each in made if each is not None]


def _tidied(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without nulls where the native record has no place for them; what is appended is a list."""
    tidy = {name: value for name, value in fields.items() if value is not None}
    if isinstance(said := tidy.get("identities"), dict):
        identities: dict[str, object] = {}
        tidy["identities"] = identities
        for name, value in said.items():
            identity(identities, name, value)
    if isinstance(said := tidy.get("add"), dict):
        tidy["add"] = {name: value for name, value in said.items() if value is not None}
    if isinstance(said := tidy.get("append"), dict):
        given = {name: value for name, value in said.items() if value is not None}
        tidy["append"] = {
            name: value if isinstance(value, list) else [value] for name, value in given.items()
        }
    return tidy


# -- sources -----------------------------------------------------------------------------------------------


def constant(value: object) -> Source:
    return lambda seen: value


def at_path(path: Path) -> Source:
    return lambda seen: find(seen.item, path)


def at_root(path: Path) -> Source:
    return lambda seen: find(seen.root, path)


def header(name: str) -> Source:
    def read(seen: Seen) -> Any:
        values = [value for each, value in seen.sent.headers if each.lower() == name.lower()]
        return values[-1].decode("utf-8", "replace") if values and values[-1] is not None else MISSING

    return read


def key(seen: Seen) -> Any:
    return seen.sent.key.decode("utf-8", "replace") if seen.sent.key else MISSING


def first_there(sources: Sequence[Source]) -> Source:
    """The first that is there: not null, and not an empty text."""

    def read(seen: Seen) -> Any:
        for source in sources:
            value = source(seen)
            if value is not MISSING and value is not None and value != "":
                return value
        return MISSING

    return read


def template(parts: Sequence[str | Source]) -> Source:
    """Texts and what stands between them; missing as a whole when one of its values is."""

    def read(seen: Seen) -> Any:
        said = []
        for part in parts:
            value = part if isinstance(part, str) else as_id(part(seen), "template")
            if isinstance(value, bool) or not isinstance(value, str | float):
                return MISSING
            said.append(str(value))
        return "".join(said)

    return read


def converted(source: Source, kind: Literal["text", "number", "boolean"]) -> Source:
    """What can't be converted stays as it is."""

    def read(seen: Seen) -> Any:
        value = source(seen)
        if kind == "text":
            return as_id(value, "text")
        if not isinstance(value, str):
            return value
        if kind == "boolean":
            lowered = value.strip().lower()
            return True if lowered in _TRUE else False if lowered in _FALSE else value
        return number_of(value)

    return read


def number_of(text: str) -> int | float | str:
    """``"12"`` and ``"12.50"`` as numbers; what is none, or has no end, stays."""
    try:
        if len(text) <= 40 and text.isascii() and "_" not in text:
            value = float(text)
            if text.strip().lstrip("+-").isdigit():
                return int(text)
            if value - value == 0.0:  # neither endless nor NaN
                return value
    except ValueError:
        pass
    return text


def in_unit(source: Source, unit: str) -> Source:
    """A time that is a number of this unit, or its digits, as an instant; anything else stays as it is."""
    by, over = UNITS[unit]

    def read(seen: Seen) -> Any:
        value = source(seen)
        value = number_of(value) if isinstance(value, str) else value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        at_ms = value * by / over if isinstance(value, float) else value * by // over
        return format_instant(int(at_ms)) if MIN_MS <= at_ms <= MAX_MS else value

    return read


def with_default(source: Source, default: object) -> Source:
    def read(seen: Seen) -> Any:
        value = source(seen)
        return default if value is MISSING or value is None else value

    return read


def as_object(named: Mapping[str, Source], spread: Sequence[Source]) -> Source:
    """An object: all fields of those under ``spread``, then the named ones."""

    def read(seen: Seen) -> Any:
        made: dict[str, Any] = {}
        for source in spread:
            value = source(seen)
            if isinstance(value, dict):
                made |= value
        for name, source in named.items():
            value = source(seen)
            if value is not MISSING:
                made[name] = value
        return made

    return read


def pairs(listed: Source, name_at: Path, values_at: Sequence[Path]) -> Source:
    """An object of a list of names with values, ``[{"key": "a", "value": {"int_value": 1}}]``."""

    def read(seen: Seen) -> Any:
        items = listed(seen)
        made: dict[str, Any] = {}
        for item in items if isinstance(items, list) else ():
            name = find(item, name_at)
            found = [value for path in values_at if (value := find(item, path)) is not MISSING]
            given = [value for value in found if value is not None]
            if isinstance(name, str) and found:
                made[name] = given[0] if given else None
        return made

    return read
