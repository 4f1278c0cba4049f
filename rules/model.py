"""The audience language as data (spec: rules.md, sections 3 to 7).

Every node is a frozen dataclass. ``rules.parse`` makes them from YAML or JSON, ``rules.compile`` turns
them into closures. Durations are milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Path: TypeAlias = tuple[str, ...]
"""A dotted name, split: ``address.city`` is ``("address", "city")``."""

ANY_EVENT = "*"


@dataclass(frozen=True, slots=True)
class Test:
    """One operator on one property or attribute (section 7).

    ``operator`` is a name of section 7 (``eq``, ``between``, ``icontains``, ...). ``operand`` is its
    literal, with lists as tuples; numbers, strings, booleans and None stay what they are.
    """

    path: Path
    operator: str
    operand: object


@dataclass(frozen=True, slots=True)
class AllTests:
    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class AnyTest:
    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class NotTest:
    part: Predicate


Predicate: TypeAlias = Test | AllTests | AnyTest | NotTest
"""What ``where`` holds: tests over one object, composed."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """An aggregate's bound. ``operand`` is a number, or a pair of numbers for ``between``."""

    operator: Literal["gt", "gte", "lt", "lte", "eq", "ne", "between"]
    operand: float | int | tuple[float | int, float | int]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """``count``, ``sum`` or ``distinct`` with its comparisons, all of which must hold.

    ``property`` is None for ``count``.
    """

    kind: Literal["count", "sum", "distinct"]
    property: Path | None
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """Sliding window: events with ``t - length_ms < e <= t`` count."""

    length_ms: int


Window: TypeAlias = Within | None
"""None: every event counts."""


@dataclass(frozen=True, slots=True)
class EventCondition:
    """``names`` are event names, sorted and unique; ``("*",)`` means any event."""

    names: tuple[str, ...]
    where: Predicate | None
    aggregate: Aggregate
    window: Window


@dataclass(frozen=True, slots=True)
class AttributeCondition:
    """Tests over the user's attributes; every path in ``test`` is the one attribute's."""

    test: Predicate


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Rule


Condition: TypeAlias = EventCondition | AttributeCondition
Rule: TypeAlias = Condition | All | Any | Not


@dataclass(frozen=True, slots=True)
class Audience:
    """A definition (section 3). ``type`` ``instant`` runs as ``realtime``."""

    id: str
    name: str
    rule: Rule
    description: str = ""
    project: str = "default"
    type: Literal["realtime", "instant"] = "realtime"
    timezone: str = "UTC"
    labels: tuple[str, ...] = ()


def conditions(rule: Rule) -> Iterator[Condition]:
    """The conditions in a rule, from left to right, repetitions included."""
    match rule:
        case All(parts=parts) | Any(parts=parts):
            for part in parts:
                yield from conditions(part)
        case Not(part=part):
            yield from conditions(part)
        case EventCondition() | AttributeCondition():
            yield rule
