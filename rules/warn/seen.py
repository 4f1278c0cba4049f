"""Names that a log of records doesn't have, and values of another type than those in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, TypeAlias

from rules.model import language
from rules.parse.audience import ParsedAudience
from rules.parse.problems import DefinitionProblem
from rules.warn.patterns import attributes_asked, events_asked
from rules.warn.places import named_node, problem_at
from rules.warn.values import ORDERED

MOST_NAMES: Final = 20_000
"""Names that are remembered; what comes after is not looked at, and nothing is said to be unseen then."""
_DEPTH: Final = 8

Kinds: TypeAlias = dict[str, set[str]]
"""Per dotted name the types of its values: text, number, boolean, list, object, null."""

_TYPES: Final[Mapping[type, str]] = {
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "list",
    dict: "object",
    type(None): "null",
}


@dataclass(slots=True)
class LogNames:
    """The names in a log: events with their properties, and attributes."""

    events: dict[str, Kinds] = field(default_factory=dict)
    attributes: Kinds = field(default_factory=dict)
    left: int = MOST_NAMES

    def event(self, name: str, properties: Mapping[str, object] | None) -> None:
        if self.left > 0:
            self._add(self.events.setdefault(name, {}), properties or {}, "", 1)

    def attributes_of(self, values: Mapping[str, object] | None) -> None:
        if self.left > 0:
            self._add(self.attributes, values or {}, "", 1)

    def _add(self, kinds: Kinds, values: Mapping[str, object], prefix: str, depth: int) -> None:
        for key, value in values.items():
            self._value(kinds, f"{prefix}{key}", value, depth)

    def _value(self, kinds: Kinds, name: str, value: object, depth: int) -> None:
        if name not in kinds:
            self.left -= 1
        kinds.setdefault(name, set()).add(_TYPES.get(type(value), "object"))
        if depth == _DEPTH or self.left <= 0:
            return
        if isinstance(value, Mapping):
            self._add(kinds, value, f"{name}.", depth + 1)
        elif isinstance(value, list):
            for item in value[:20]:
                self._value(kinds, f"{name}[]", item, depth + 1)


def unseen(each: ParsedAudience, log: LogNames) -> Iterator[DefinitionProblem]:
    """What an audience asks for and the log doesn't have, each with the nearest name that it has."""
    if log.left <= 0:
        return
    for asked in events_asked(each.audience.rule):
        known: Kinds = {}
        for name in asked.names:
            if name != language.ANY_EVENT and name not in log.events:
                message = f"no event '{name}' is in the log"
                hint, at = _nearest(name, log.events), named_node(each, asked.part)
                yield problem_at(each, asked.part, "unseen_event", message, hint, at)
            for seen in log.events if name == language.ANY_EVENT else (name,):
                for one, kinds in log.events.get(seen, {}).items():
                    known.setdefault(one, set()).update(kinds)
        if not any(name in log.events or name == language.ANY_EVENT for name in asked.names):
            continue  # of an event that isn't there no property is
        told = "these events" if len(asked.names) > 1 or "*" in asked.names else f"'{asked.names[0]}' events"
        for test in asked.tests:
            yield from _of_test(each, test, test, known, f"property '{{}}' of {told}")
        if asked.property is not None and (name := ".".join(asked.property)) not in known:
            message = f"no property '{name}' of {told} is in the log"
            yield problem_at(each, asked.part, "unseen_property", message, _nearest(name, known))
    for condition, test in attributes_asked(each.audience.rule):
        yield from _of_test(each, condition, test, log.attributes, "attribute '{}'")


def _of_test(
    each: ParsedAudience, part: object, test: language.Test, known: Kinds, what: str
) -> Iterator[DefinitionProblem]:
    name = ".".join(test.path)
    if not name:
        return
    if name not in known:
        message = f"no {what.format(name)} is in the log"
        at = named_node(each, part) if isinstance(part, language.AttributeCondition) else None
        yield problem_at(each, part, "unseen_property", message, _nearest(name, known), at=at)
        return
    asked, found = _types_asked(test), known[name] - {"null"}
    if asked and found and not asked & found:
        message = f"in the log the {what.format(name)} is always {_listed(found)}"
        message += f", and this asks for {_listed(asked)}"
        yield problem_at(each, test, "other_type", message, "types must agree: 1 isn't '1'")


def _types_asked(test: language.Test) -> set[str]:
    """The types that can make a test true; empty where many can."""
    operand = test.operand
    if isinstance(operand, language.Ref):
        return set()
    operands = operand if isinstance(operand, tuple) else (operand,)
    if test.operator in ("eq", "in") or test.operator in ORDERED:
        return {_TYPES[type(item)] for item in operands} - {"null"}
    if test.operator in ("starts_with", "ends_with", "icontains", "ieq", "matches"):
        return {"text"}
    return {"list"} if test.operator in ("any_of", "all_of") else set()


def _nearest(name: str, known: Collection[str]) -> str:
    if not known:
        return "the log has none at all"
    folded = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return f"did you mean '{folded[near[0]]}'?" if near else f"the log has {_some(sorted(known))}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _listed(kinds: Iterable[str]) -> str:
    return " or ".join(sorted(kinds))
