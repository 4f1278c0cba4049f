"""Which conditions take an event: found by its name, then by the texts that its properties must equal.

So the cost of an event grows with the conditions that it may concern, not with all that name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rules.model import language
from rules.state.condition import AnyCondition, Update


@dataclass(frozen=True, slots=True)
class EventIndex:
    """Who takes the events of one name: always, or where a property has one of the texts they ask for."""

    conditions: tuple[AnyCondition, ...]
    always: tuple[Update, ...]
    by_value: tuple[tuple[str, Mapping[str, tuple[Update, ...]]], ...]


NO_EVENTS = EventIndex((), (), ())


def event_index(conditions: Iterable[AnyCondition], name: str) -> EventIndex:
    """The conditions that take events of a name; of ``*``: events whose name no condition mentions."""
    mine = tuple(each for each in conditions if name in each.names or language.ANY_EVENT in each.names)
    always: list[Update] = []
    by_value: dict[str, dict[str, list[Update]]] = {}
    for each in mine:
        updater = each.updater_for(name)
        wanted = wanted_text(each.source.where) if isinstance(each.source, language.EventCondition) else None
        if wanted is None:
            always.append(updater)
            continue
        attribute, texts = wanted
        for text in texts:
            by_value.setdefault(attribute, {}).setdefault(text, []).append(updater)
    return EventIndex(
        mine,
        tuple(always),
        tuple(
            (attribute, {text: tuple(found) for text, found in texts.items()})
            for attribute, texts in by_value.items()
        ),
    )


def wanted_text(predicate: language.Predicate | None) -> tuple[str, frozenset[str]] | None:
    """A property that must equal one of these texts for the predicate to hold; None: there is none such."""
    if isinstance(predicate, language.AllTests):
        return next((found for part in predicate.parts if (found := wanted_text(part)) is not None), None)
    if not isinstance(predicate, language.Test) or len(predicate.path) > 1:
        return None
    operand = predicate.operand
    if predicate.operator == "eq" and isinstance(operand, str):
        return predicate.path[0], frozenset((operand,))
    if (
        predicate.operator == "in"
        and isinstance(operand, tuple)
        and all(isinstance(each, str) for each in operand)
    ):
        return predicate.path[0], frozenset(map(str, operand))
    return None
