"""Profile updates: what they do to a user's attributes (docs/contracts.md, section 1)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from rules.model import language
from rules.predicates.paths import MISSING, lookup, prefixes_of
from rules.state.row import Row


class ProfileUpdate(msgspec.Struct, gc=False):
    """A change of attributes applied in this order."""

    id: str | None
    time_ms: int
    set: Mapping[str, object]
    set_once: Mapping[str, object]
    unset: Iterable[str]
    add: Mapping[str, float | int]
    append: Mapping[str, Sequence[object]] = {}
    """Elements that lists get which do not have them yet."""
    unset_all: bool = False
    """Take away every attribute that there is before."""


_ABSENT: Final = object()
Watched: TypeAlias = Mapping[str, tuple[language.Path, ...]]
"""Per root name, the paths into the attribute of which a rule asks when they changed."""
NOTHING_WATCHED: Final[Watched] = {}


def change_attributes(
    row: Row, update: ProfileUpdate, now_ms: int, watched: Watched = NOTHING_WATCHED
) -> list[str]:
    """Apply ``unset_all``, ``set``, ``set_once``, ``add``, ``append``, ``unset``; the names whose value is
    another than before.

    What one update sets and takes back has not changed. Notes when attributes, and ``watched`` paths in
    them, changed.
    """
    attributes = row.attributes
    parts = (update.set, update.set_once, update.add, update.append, update.unset)
    before = {name: attributes.get(name, _ABSENT) for names in parts for name in names}
    if update.unset_all:
        before = {**attributes, **{name: each for name, each in before.items() if each is _ABSENT}}
        attributes.clear()
    attributes.update(update.set)
    for name, value in update.set_once.items():
        attributes.setdefault(name, value)
    for name, amount in update.add.items():
        current = attributes.get(name)
        number = current if type(current) is int or type(current) is float else 0
        attributes[name] = _bounded_sum(number, amount)
    for name, items in update.append.items():
        attributes[name] = _appended(attributes.get(name), items)
    for name in update.unset:
        attributes.pop(name, None)
    changed: list[str] = []
    for name, value in before.items():
        if not same_value(value, attributes.get(name, _ABSENT)):
            changed.append(name)
        elif value is not _ABSENT:
            attributes[name] = value  # as it is stored: 1 stays 1 where 1.0 was set
    paths = {path for name in changed for path in watched.get(name, ())}
    if paths:
        whole = {**attributes, **before}
        _note_paths(
            row, sorted(paths), {name: value for name, value in whole.items() if value is not _ABSENT}, now_ms
        )
    for name in changed:
        row.changed_ms[name] = now_ms
    return changed


def last_change_ms(row: Row, path: language.Path) -> int | None:
    """When the value at a path last became another, or came to be, or went; None: never.

    Of a value deep in an attribute that has not changed since a rule began to watch it: when the attribute
    did, because it can't have changed later.
    """
    if len(path) == 1:
        return row.changed_ms.get(path[0])
    noted_ms = row.changed_paths.get(".".join(path))
    if noted_ms is None and lookup(row.attributes, path) is not MISSING:
        return attribute_change_ms(row, path)
    return noted_ms


def attribute_change_ms(row: Row, path: language.Path) -> int | None:
    """When an attribute that may lead to a path last changed; None: none ever did."""
    found = (row.changed_ms.get(name) for name in prefixes_of(path))
    return max((each for each in found if each is not None), default=None)


def _note_paths(row: Row, paths: Iterable[language.Path], before: Mapping[str, object], now_ms: int) -> None:
    """Note when the values at paths changed; ``before`` are the attributes before the update."""
    for path in paths:
        name, was = ".".join(path), lookup(before, path)
        if not same_value(was, lookup(row.attributes, path)):
            row.changed_paths[name] = now_ms
        elif was is not MISSING and name not in row.changed_paths:
            since_ms = attribute_change_ms(row, path)
            if since_ms is not None:
                row.changed_paths[name] = since_ms


def same_value(one: object, other: object) -> bool:
    """Equal as JSON values: ``1`` is ``1.0``, ``true`` is not ``1``, inside arrays and objects too."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_value(one[name], other[name]) for name in one)
    return one == other


def _appended(value: object, items: Sequence[object]) -> list[object]:
    """A list with the items that it lacks, at its end. A record that is sent twice appends nothing twice."""
    found = list(value) if isinstance(value, list) else []
    known = set(map(_key, found))
    for item in items:
        if (key := _key(item)) not in known:
            known.add(key)
            found.append(item)
    return found


def _key(value: object) -> Hashable:
    """Equal for values that are the same (``same_value``), and only for those."""
    if isinstance(value, list):
        return tuple(map(_key, value))
    if isinstance(value, dict):
        return frozenset((name, _key(item)) for name, item in value.items())
    return (value, bool) if isinstance(value, bool) else value  # no JSON value is equal to a class


def _bounded_sum(one: float | int, other: float | int) -> float | int:
    """A sum that stays a 64-bit whole number or a finite float, whatever is added."""
    total = one + other
    if type(total) is int and not -(2**63) <= total < 2**63:
        total = float(total)
    if type(total) is float and not -1.7e308 < total < 1.7e308:
        return one
    return total
