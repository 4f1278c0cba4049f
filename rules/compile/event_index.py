"""Which conditions take an event: found by its name, then by the texts that its properties must equal.

So the cost of an event grows with the conditions that it may concern, not with all that name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rules.model import language
from rules.state.condition import AnyCondition, Properties


@dataclass(frozen=True, slots=True)
class EventIndex:
    """Who takes the events of one name: always, or where a property has one of the texts they ask for."""

    always: tuple[AnyCondition, ...] = ()
    by_value: Mapping[str, Mapping[str, tuple[AnyCondition, ...]]] = field(default_factory=dict)
    """By name of the property, then by text."""

    @property
    def conditions(self) -> list[AnyCondition]:
        """Each of them once."""
        by_text = [each for texts in self.by_value.values() for found in texts.values() for each in found]
        return list({each.key: each for each in (*self.always, *by_text)}.values())

    def concerned(self, properties: Properties) -> Iterator[AnyCondition]:
        """Those that an event with these properties may concern, in the order in which they take it."""
        yield from self.always
        for attribute, by_text in self.by_value.items():
            text = properties.get(attribute)
            if isinstance(text, str):
                yield from by_text.get(text, ())


NO_EVENTS = EventIndex()


def event_index(conditions: Iterable[AnyCondition], name: str) -> EventIndex:
    """The conditions that take events of a name; of ``*``: events whose name no condition mentions."""
    always: list[AnyCondition] = []
    by_value: dict[str, dict[str, list[AnyCondition]]] = {}
    for each in conditions:
        if name not in each.names and language.ANY_EVENT not in each.names:
            continue
        wanted = wanted_text(each.source.where) if isinstance(each.source, language.EventCondition) else None
        if wanted is None:
            always.append(each)
            continue
        attribute, texts = wanted
        for text in sorted(texts):
            by_value.setdefault(attribute, {}).setdefault(text, []).append(each)
    return EventIndex(
        tuple(always),
        {
            attribute: {text: tuple(found) for text, found in by_text.items()}
            for attribute, by_text in by_value.items()
        },
    )


def wanted_text(predicate: language.Predicate | None) -> tuple[str, frozenset[str]] | None:
    """A property that must equal one of these texts for the predicate to hold; None: there is none such."""
    match predicate:
        case language.AllTests(parts=parts):
            return next((found for part in parts if (found := wanted_text(part)) is not None), None)
        case language.Test(path=(name,), operator="eq", operand=str(text)):
            return name, frozenset((text,))
        case language.Test(path=(name,), operator="in", operand=tuple(items)):
            texts = [each for each in items if isinstance(each, str)]
            return (name, frozenset(texts)) if len(texts) == len(items) else None
        case _:
            return None
