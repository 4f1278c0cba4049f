"""``some``, ``every`` and ``none``: predicates over the elements of a list (section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from rules.model import language

Decide: TypeAlias = Callable[[Iterable[bool]], bool]
"""From what holds of each element to what holds of the list."""

_NO_NAMES: Final[Mapping[str, object]] = {}


def decider_of(quantifier: language.Quantifier) -> Decide:
    """How elements decide."""
    match quantifier:
        case "some":
            return any
        case "every":
            return _every
        case "none":
            return _none


def _every(found: Iterable[bool]) -> bool:
    """All, and there is one."""
    seen = False
    for each in found:
        if not each:
            return False
        seen = True
    return seen


def _none(found: Iterable[bool]) -> bool:
    return not any(found)


def subject_of(predicate: language.Predicate) -> Callable[[object], Any]:
    """What a predicate over elements is given of one: the element, or an object for one that has names."""
    if () in language.paths_of(predicate):
        return lambda element: element
    return lambda element: element if type(element) is dict else _NO_NAMES
