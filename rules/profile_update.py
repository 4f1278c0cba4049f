"""Profile updates: what they do to a user's attributes (spec: contracts.md, section 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from rules.row import Row


class ProfileUpdate(msgspec.Struct, gc=False):
    """A change of attributes applied in this order."""

    id: str | None
    time_ms: int
    set: Mapping[str, object]
    set_once: Mapping[str, object]
    unset: Iterable[str]
    add: Mapping[str, float | int]


_ABSENT: Final = object()


def change_attributes(row: Row, update: ProfileUpdate, now_ms: int) -> list[str]:
    """Apply ``set``, ``set_once``, ``add``, ``unset``; the names whose value is another than before.

    What one update sets and takes back has not changed.
    """
    attributes = row.attributes
    parts = (update.set, update.set_once, update.add, update.unset)
    before = {name: attributes.get(name, _ABSENT) for names in parts for name in names}
    attributes.update(update.set)
    for name, value in update.set_once.items():
        attributes.setdefault(name, value)
    for name, amount in update.add.items():
        current = attributes.get(name)
        number = current if type(current) is int or type(current) is float else 0
        attributes[name] = _bounded_sum(number, amount)
    for name in update.unset:
        attributes.pop(name, None)
    changed: list[str] = []
    for name, value in before.items():
        if not same_value(value, attributes.get(name, _ABSENT)):
            changed.append(name)
            row.changed_ms[name] = now_ms
        elif value is not _ABSENT:
            attributes[name] = value  # as it is stored: 1 stays 1 where 1.0 was set
    return changed


def same_value(one: object, other: object) -> bool:
    """Equal as JSON values: ``1`` is ``1.0``, ``true`` is not ``1``, inside arrays and objects too."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_value(one[name], other[name]) for name in one)
    return one == other


def _bounded_sum(one: float | int, other: float | int) -> float | int:
    """A sum that stays a 64-bit whole number or a finite float, whatever is added."""
    total = one + other
    if type(total) is int and not -(2**63) <= total < 2**63:
        total = float(total)
    if type(total) is float and not -1.7e308 < total < 1.7e308:
        return one
    return total
