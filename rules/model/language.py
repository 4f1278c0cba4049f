"""The audience language as data (docs/semantics.md, sections 3 to 7).

Every node is a frozen dataclass. ``rules.parse.definitions`` makes them from YAML or JSON,
``rules.compile.rule_set`` turns them into closures. Durations are milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rules.model.predicates import (
    ELEMENTS,
    AllTests,
    AnyTest,
    Elements,
    NotTest,
    Path,
    Predicate,
    Quantifier,
    Ref,
    Test,
    has_elements,
    parts_of,
    paths_of,
    tests_of,
)

# The language's predicates are a part of it.
__all__ = [
    "ELEMENTS",
    "AllTests",
    "AnyTest",
    "Elements",
    "NotTest",
    "Path",
    "Predicate",
    "Quantifier",
    "Ref",
    "Test",
    "has_elements",
    "parts_of",
    "paths_of",
    "tests_of",
]

ANY_EVENT = "*"


@dataclass(frozen=True, slots=True)
class Comparison:
    """An aggregate's bound. ``operand`` is a number, or a pair of numbers for ``between``."""

    operator: Literal["gt", "gte", "lt", "lte", "eq", "ne", "between"]
    operand: float | int | tuple[float | int, float | int]


AggregateKind: TypeAlias = Literal[
    "count", "sum", "avg", "min", "max", "distinct", "days", "first", "last", "since_last", "since_first"
]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate of the matching events with its comparisons, all of which must hold.

    ``property`` is None for ``count days since_last since_first``; it may have ``ELEMENTS``. ``first`` and
    ``last`` have ``test`` in the place of comparisons: a predicate whose every path is ``property``.
    Operands of ``since_last`` and ``since_first`` are ms.
    """

    kind: AggregateKind
    property: Path | None
    comparisons: tuple[Comparison, ...]
    test: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Within:
    """Sliding window: events with ``t - length_ms < e <= t`` count."""

    length_ms: int


@dataclass(frozen=True, slots=True)
class BetweenAgo:
    """``between_ago: [30d, 7d]``: events with ``t - far_ms < e <= t - near_ms`` count."""

    far_ms: int
    near_ms: int


@dataclass(frozen=True, slots=True)
class FromTo:
    """Events with ``from_ms <= e < to_ms`` count; None: no bound on that side."""

    from_ms: int | None
    to_ms: int | None


PeriodUnit: TypeAlias = Literal["hour", "day", "week", "month", "year"]


@dataclass(frozen=True, slots=True)
class Period:
    """The ``length`` calendar periods of ``unit`` that end with the one ``ago`` periods before ``t``'s.

    ``today`` is (day, 1, 0), ``yesterday`` (day, 1, 1), ``{last: 7, unit: day}`` (day, 7, 0), ``last_week``
    (week, 1, 1). In the audience's time zone; weeks start on Monday.
    """

    unit: PeriodUnit
    length: int
    ago: int


@dataclass(frozen=True, slots=True)
class SinceEntry:
    """``within: {audience: id}``: events since the latest entry into an audience that the user is in."""

    audience: str


Window: TypeAlias = Within | BetweenAgo | FromTo | Period | SinceEntry | None
"""None: every event counts."""


@dataclass(frozen=True, slots=True)
class EventPattern:
    """Which events match: ``names`` sorted and unique, ``("*",)`` means any."""

    names: tuple[str, ...]
    where: Predicate | None


@dataclass(frozen=True, slots=True)
class EventCondition:
    """``names`` are event names, sorted and unique; ``("*",)`` means any event."""

    names: tuple[str, ...]
    where: Predicate | None
    aggregate: Aggregate
    window: Window


@dataclass(frozen=True, slots=True)
class SequenceStep:
    """One step of a sequence. ``within_ms``: at most this long after the step before; ``name``: ``as``."""

    event: EventPattern
    within_ms: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Sequence:
    """2 to 10 steps in order of event time (ties: arrival). ``window`` is for the last step's event:
    Within, FromTo, Period or None. ``without``: no such event strictly between first and last step."""

    steps: tuple[SequenceStep, ...]
    without: EventPattern | None = None
    total_ms: int | None = None
    window: Within | FromTo | Period | None = None


@dataclass(frozen=True, slots=True)
class NotFollowed:
    """``event`` with no ``follower`` in the ``for_ms`` after it. ``Ref("a", ...)`` in the follower's where
    is the first event's property. ``window`` as in ``EventCondition``, for the first event's time. ``still``:
    a follower that comes later undoes it, too."""

    event: EventPattern
    follower: EventPattern
    for_ms: int
    window: Within | FromTo | Period | None = None
    still: bool = False


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


@dataclass(frozen=True, slots=True)
class AtLeast:
    """``n`` or more of the parts are true."""

    n: int
    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """The points of the true parts, compared. ``parts`` are (rule, points)."""

    parts: tuple[tuple[Rule, int | float], ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class InAudience:
    """The user is in another audience of the project; with ``for_ms``, without a break for so long."""

    audience: str
    for_ms: int | None = None


StateCondition: TypeAlias = EventCondition | Sequence | NotFollowed
"""The conditions that take events, and keep a state."""
RowCondition: TypeAlias = AttributeCondition | InAudience
"""The conditions that read the rest of the row."""
Condition: TypeAlias = StateCondition | RowCondition
Rule: TypeAlias = Condition | All | Any | Not | AtLeast | Score


@dataclass(frozen=True, slots=True)
class Schedule:
    """Compute instants of a batch audience, in its time zone. ``cron`` is set for kind ``cron``."""

    kind: Literal["once", "daily", "weekly", "monthly", "cron"]
    cron: str = ""


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a new version makes of the past (section 8a).

    ``existing``: whether the members that a new audience finds come out as transitions. ``history_ms``: how
    much history its author asks for at least; None: all that the rule looks at, 0: none.
    """

    existing: Literal["announce", "silent"] = "announce"
    history_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Audience:
    """A definition (section 3). ``type`` ``instant`` runs as ``realtime``; ``schedule`` is for ``batch``."""

    id: str
    name: str
    rule: Rule
    description: str = ""
    project: str = "default"
    type: Literal["realtime", "instant", "batch"] = "realtime"
    timezone: str = "UTC"
    labels: tuple[str, ...] = ()
    schedule: Schedule | None = None
    backfill: Backfill = Backfill()


def references(rule: Rule) -> Iterator[str]:
    """The ids of the audiences that a rule speaks of, from left to right, repetitions included."""
    for condition in conditions(rule):
        if isinstance(condition, InAudience):
            yield condition.audience
        elif isinstance(condition, EventCondition) and isinstance(condition.window, SinceEntry):
            yield condition.window.audience


def conditions(rule: Rule) -> Iterator[Condition]:
    """The conditions in a rule, from left to right, repetitions included."""
    match rule:
        case All(parts=parts) | Any(parts=parts) | AtLeast(parts=parts):
            for part in parts:
                yield from conditions(part)
        case Score(parts=scored):
            for part, _ in scored:
                yield from conditions(part)
        case Not(part=part):
            yield from conditions(part)
        case EventCondition() | Sequence() | NotFollowed() | AttributeCondition() | InAudience():
            yield rule
