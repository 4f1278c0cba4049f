"""What events and attributes are tested for: names, tests and their composition (section 7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Path: TypeAlias = tuple[str, ...]
"""A dotted name, split: ``address.city`` is ``("address", "city")``."""

ELEMENTS = "[]"
"""What ends a part of a path that stands for the elements of a list: ``("lines[]", "sku")``. Only the names
of aggregates have such parts; elsewhere the parser makes ``Elements`` of them."""


def has_elements(path: Path) -> bool:
    """Whether a path stands for as many values as lists have elements."""
    return any(part.endswith(ELEMENTS) for part in path)


@dataclass(frozen=True, slots=True)
class Ref:
    """``{ref: v.sku}``: a property of the event that an earlier step took."""

    step: str
    path: Path


@dataclass(frozen=True, slots=True)
class Test:
    """One operator on one property or attribute (section 7).

    An empty ``path`` means the whole value that is tested, such as an element of a list.
    ``operator`` is a name of section 7 (``eq``, ``between``, ``icontains``, ...). ``operand`` is its
    literal, with lists as tuples; numbers, strings, booleans and None stay what they are. Of the date
    operators (``older_than``, ``newer_than``, ``in_next``, ``anniversary``) it is a duration in ms, of
    ``between_next`` a pair of them, of ``changed_within`` (attributes only) a duration, too. In a later step
    of a sequence, or in a follower, it may be a ``Ref``.
    """

    path: Path
    operator: str
    operand: object


Quantifier: TypeAlias = Literal["some", "every", "none"]


@dataclass(frozen=True, slots=True)
class Elements:
    """A predicate over the elements of the list at ``path``: holds for ``some``, ``every`` (and there is
    one), ``none``. An element that isn't an object has no names. ``lines[].sku: hat`` is ``some``, too."""

    path: Path
    quantifier: Quantifier
    test: Predicate


@dataclass(frozen=True, slots=True)
class AllTests:
    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class AnyTest:
    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class NotTest:
    part: Predicate


Predicate: TypeAlias = Test | Elements | AllTests | AnyTest | NotTest
"""What ``where`` holds: tests over one object, composed."""


def parts_of(predicate: Predicate) -> Iterator[Test | Elements]:
    """What it is composed of; not what is asked of elements."""
    match predicate:
        case Test() | Elements():
            yield predicate
        case NotTest(part=part):
            yield from parts_of(part)
        case AllTests(parts=parts) | AnyTest(parts=parts):
            for part in parts:
                yield from parts_of(part)


def tests_of(predicate: Predicate | None) -> Iterator[Test]:
    """Each of its tests, however deep; those of elements have the elements' paths."""
    match predicate:
        case Test():
            yield predicate
        case Elements(test=test):
            yield from tests_of(test)
        case NotTest(part=part):
            yield from tests_of(part)
        case AllTests(parts=parts) | AnyTest(parts=parts):
            for part in parts:
                yield from tests_of(part)


def paths_of(predicate: Predicate) -> Iterator[Path]:
    """What it reads of the object that it is about; of lists their names, not those of their elements."""
    return (part.path for part in parts_of(predicate))
