"""Destinations in files, beside the connections that are published: every problem with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from agents.connections.published import PublishedConnections
from agents.connections.resolve import ConnectionUnusable, UseProblem, resolved
from agents.deliver.definitions.destination import Destination
from agents.deliver.definitions.parse_destination import ParsedDestination
from rules.parse.document import Node
from rules.parse.problems import DefinitionProblem, DefinitionsInvalid
from rules.parse.values import join


def resolved_all(
    parsed: Iterable[ParsedDestination], usable: Callable[[str], PublishedConnections]
) -> Sequence[Destination]:
    """All of them with what their connections say. ``usable``: the connections that a project may name.

    Raises DefinitionsInvalid: all that can't use theirs.
    """
    found: list[Destination] = []
    problems: list[DefinitionProblem] = []
    for each in parsed:
        try:
            found.append(resolved(each.destination, usable(each.destination.project)))
        except ConnectionUnusable as error:
            problems += [_placed(each, problem) for problem in error.problems]
    if problems:
        raise DefinitionsInvalid(problems)
    return found


def _placed(parsed: ParsedDestination, problem: UseProblem) -> DefinitionProblem:
    node = parsed.node
    for part in problem.path.split("."):
        inside = _below(node, part)
        if inside is None:
            break
        node = inside
    path = join(parsed.path, problem.path)
    return DefinitionProblem(problem.code, problem.message, path, parsed.file, node.line, node.column)


def _below(node: Node, key: str) -> Node | None:
    entries = node.value
    return entries[key].node if isinstance(entries, Mapping) and key in entries else None
