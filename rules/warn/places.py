"""Warnings at the places where the parts of a rule were written."""

from __future__ import annotations

from collections.abc import Mapping

from rules.parse.audience import ParsedAudience
from rules.parse.document import Node
from rules.parse.problems import DefinitionProblem
from rules.parse.values import Place, join


def place_of(each: ParsedAudience, part: object) -> Place:
    """That of a part; of one that has none, that of the rule. A published audience has neither."""
    rule = each.audience.rule
    for candidate in (part, rule):
        place = each.places.get(id(candidate))
        if place is not None and place.part is candidate:
            return place
    return Place(rule, join(each.path, "rule"), each.id_at)


def problem_at(
    each: ParsedAudience, part: object, code: str, message: str, hint: str = "", at: Node | None = None
) -> DefinitionProblem:
    """A warning; ``at``: a value within the part."""
    place = place_of(each, part)
    node = at or place.node
    return DefinitionProblem(
        code, message, place.path, each.file, node.line, node.column, hint, each.audience.id
    )


def named_node(each: ParsedAudience, part: object) -> Node | None:
    """Where a condition names its events or its attribute."""
    node = place_of(each, part).node
    if not isinstance(node.value, Mapping):
        return None
    entry = node.value.get("event") or node.value.get("attribute")
    return None if entry is None else entry.node
