"""Event patterns whose ``where`` may refer to an earlier event, as ``{ref: v.sku}`` (section 5).

What is known when the event comes is tested then. What refers to another event waits for it: of the event
those values are kept that the tests will need, its *slots*. A slot is the value of a property, None where it
is missing, or the truth of a test that stands beside a reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, TypeAlias

from rules.model import language
from rules.predicates.against import holds_against, order_against
from rules.predicates.compiled import DatedCheck, compile_dated_predicate
from rules.predicates.dates import ORDER
from rules.predicates.elements import decider_of, subject_of
from rules.predicates.paths import MISSING, elements_of, getter_of
from rules.time.calendar import Calendar

Slots: TypeAlias = list[object]
Bindings: TypeAlias = tuple[object, ...]
BoundCheck: TypeAlias = Callable[[Sequence[object], Bindings], bool]
"""Whether an event, by its slots, fits what earlier events were bound to."""

LONGEST_TEXT = 64
"""Longer texts are kept as digests where they are only compared for being equal."""


@dataclass(frozen=True, slots=True)
class Pattern:
    names: tuple[str, ...]
    static: DatedCheck | None
    """What needs no other event."""
    bound: BoundCheck | None
    """What does."""

    def takes(self, name: str) -> bool:
        """Whether events of this name match; an unnamed one (``*``) matches only what takes any."""
        return name in self.names or language.ANY_EVENT in self.names


@dataclass(slots=True)
class Layout:
    """The slots of a condition's events, and the bindings that its references name."""

    calendar: Calendar
    extractors: list[Callable[[Mapping[str, object], int], object]] = field(default_factory=list)
    bindings: list[language.Ref] = field(default_factory=list)
    elements_of: Layout | None = None
    """Of the elements of a list in an event: the event's. Their texts are kept whole."""
    _values: dict[language.Path, int] = field(default_factory=dict)
    _ordered: set[language.Path] = field(default_factory=set)
    _equal: list[tuple[language.Path, language.Path]] = field(default_factory=list)
    """Properties that are compared for being equal: both are kept whole, or both as digests."""

    def slots(self, properties: Mapping[str, object], event_ms: int) -> Slots:
        return [extract(properties, event_ms) for extract in self.extractors]

    def value_slot(self, path: language.Path) -> int:
        """The slot of a property's value."""
        at = self._values.get(path)
        if at is None:
            at = self._values[path] = len(self.extractors)
            whole, get = self._ordered, getter_of(path)
            always = self.elements_of is not None
            self.extractors.append(
                lambda properties, event_ms: _kept(get(properties), always or path in whole)
            )
        return at

    def keep_whole(self, path: language.Path) -> None:
        """This property's texts are compared for more than being equal."""
        if self.elements_of is not None:
            self.elements_of.keep_whole(path)
            return
        if path in self._ordered:
            return
        self._ordered.add(path)
        for one, other in self._equal:
            if path in (one, other):
                self.keep_whole(one)
                self.keep_whole(other)

    def binding(self, ref: language.Ref) -> int:
        if ref not in self.bindings:
            self.bindings.append(ref)
        return self.bindings.index(ref)

    def pattern(self, source: language.EventPattern) -> Pattern:
        """Compile a pattern, adding the slots and bindings that it needs."""
        parts = source.where.parts if isinstance(source.where, language.AllTests) else (source.where,)
        static = [part for part in parts if part is not None and not has_ref(part)]
        bound = [self._bound(part) for part in parts if part is not None and has_ref(part)]
        return Pattern(
            source.names,
            compile_dated_predicate(language.AllTests(tuple(static)), self.calendar) if static else None,
            _every(bound) if bound else None,
        )

    def _bound(self, predicate: language.Predicate) -> BoundCheck:
        if not has_ref(predicate):
            return self._truth_slot(predicate)
        match predicate:
            case language.Test(path=path, operator=operator, operand=language.Ref() as ref):
                return self._against_ref(path, operator, ref)
            case language.Elements():
                return self._of_elements(predicate)
            case language.NotTest(part=part):
                inner = self._bound(part)
                return lambda slots, bindings: not inner(slots, bindings)
            case language.AllTests(parts=parts):
                return _every([self._bound(part) for part in parts])
            case language.AnyTest(parts=parts):
                some = [self._bound(part) for part in parts]
                return lambda slots, bindings: any(each(slots, bindings) for each in some)
            case language.Test():
                raise TypeError(f"not a test with a reference: {predicate}")

    def _against_ref(self, path: language.Path, operator: str, ref: language.Ref) -> BoundCheck:
        if self.elements_of is not None:
            self.keep_whole(ref.path)
        else:
            self._equal.append((path, ref.path))
            if operator not in ("eq", "ne") or not self._ordered.isdisjoint((path, ref.path)):
                self.keep_whole(path)
                self.keep_whole(ref.path)
        slot, at = self.value_slot(path), self.binding(ref)
        if operator in ORDER:
            calendar = self.calendar
            return lambda slots, bindings: order_against(operator, slots[slot], bindings[at], calendar)
        return lambda slots, bindings: holds_against(operator, slots[slot], bindings[at])

    def _of_elements(self, source: language.Elements) -> BoundCheck:
        """The slot has for each element the slots that its own tests need."""
        inside = Layout(self.calendar, bindings=self.bindings, elements_of=self)
        inner, decide = inside._bound(source.test), decider_of(source.quantifier)
        get, subject = getter_of(source.path), subject_of(source.test)
        slot = len(self.extractors)
        self.extractors.append(
            lambda properties, event_ms: [
                inside.slots(subject(element), event_ms) for element in elements_of(get(properties))
            ]
        )

        def holds(slots: Sequence[object], bindings: Bindings) -> bool:
            elements: Any = slots[slot]
            return decide(inner(each, bindings) for each in elements)

        return holds

    def _truth_slot(self, predicate: language.Predicate) -> BoundCheck:
        check = compile_dated_predicate(predicate, self.calendar)
        slot = len(self.extractors)
        self.extractors.append(check)
        return lambda slots, bindings: bool(slots[slot])


def has_ref(predicate: language.Predicate | None) -> bool:
    """Whether a predicate refers to another event."""
    return any(isinstance(test.operand, language.Ref) for test in language.tests_of(predicate))


def identity(value: object) -> object:
    """A hashable that tells apart what operators tell apart: 1 from true, but not from 1.0."""
    if type(value) is bool:
        return bool, value
    if isinstance(value, list | dict):
        return None  # as an operand it is of the wrong type, and acts as missing
    return value


def _every(checks: list[BoundCheck]) -> BoundCheck:
    if len(checks) == 1:
        return checks[0]
    return lambda slots, bindings: all(check(slots, bindings) for check in checks)


def _kept(value: object, whole: bool) -> object:
    """A property's value as it is stored until another event is held against it."""
    if value is MISSING:
        return None
    if type(value) is int and not -(2**63) <= value < 2**64:
        return float(value) if -(2**1000) < value < 2**1000 else None  # too long to be stored as it is
    if isinstance(value, dict):
        return None  # equals nothing, and has nothing in order
    if isinstance(value, list):
        return [_kept(each, True) for each in value if not isinstance(each, list)] if whole else None
    if whole:
        return value
    if isinstance(value, str) and (len(value) > LONGEST_TEXT or value.startswith("\0")):
        return "\0" + blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return value
