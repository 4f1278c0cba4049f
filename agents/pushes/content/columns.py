"""The columns of a list: what they are called, in which order, and what each holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agents.pushes.contract.push import Content, IdColumn


@dataclass(frozen=True, slots=True)
class Columns:
    """In the order of a row. ``…_at``: the place of a column; -1: there is none."""

    names: tuple[str, ...]
    id_type_at: int
    id_at: int
    encryption_at: int
    attributes_at: int
    """Of the first attribute; the others follow."""
    since_at: int
    exit_at: int


def columns_of(content: Content) -> Columns:
    """The type of the id where there are several, the id, its encryption, the attributes, the instants."""
    names: list[str] = []

    def place(name: str) -> int:
        if name:
            names.append(name)
        return len(names) - 1 if name else -1

    is_told = len(content.ids) > 1 or bool(content.id)
    id_type_at = place(content.id_type if is_told else "")
    id_at = place(content.id or ("id" if len(content.ids) > 1 else called(content.ids[0])))
    encryption_at = place(content.encryption)
    attributes_at = len(names)
    names += [each.column for each in content.attributes]
    since_at, exit_at = place(content.since), place(content.exit_at)
    return Columns(tuple(names), id_type_at, id_at, encryption_at, attributes_at, since_at, exit_at)


def called(id: IdColumn) -> str:
    """What an id type is called at the target."""
    return id.column or id.type


def counted_names(ids: Sequence[IdColumn]) -> tuple[str, ...]:
    """Under which name the rows of each id type are counted: the type, with the encryption where the same
    type is there more than once, and with what it is called where that doesn't tell them apart."""
    types = Counter(each.type for each in ids)
    encrypted = Counter((each.type, each.encryption) for each in ids)

    def name(id: IdColumn) -> str:
        if types[id.type] == 1:
            return id.type
        told = f"{id.type}/{id.encryption}"
        return told if encrypted[id.type, id.encryption] == 1 else f"{told}/{called(id)}"

    return tuple(map(name, ids))
