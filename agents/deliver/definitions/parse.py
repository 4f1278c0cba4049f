"""Destination definitions from YAML or JSON: every problem at once, each with its place and a hint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agents.deliver.definitions.destination import Destination
from agents.deliver.definitions.parse_destination import ParsedDestination, parse_destination
from rules.parse.document import Node
from rules.parse.problems import DefinitionProblem, DefinitionsInvalid, sort_problems
from rules.parse.text import parse_text
from rules.parse.values import Reader, join


def parse_destinations(
    text: str, file: str, published: bool = False
) -> tuple[list[ParsedDestination], list[DefinitionProblem]]:
    """The destinations without fault in a text, and the problems of the others.

    A document is one destination or a list of them under ``destinations``; YAML may hold several documents.
    Of one that was ``published``, what older versions took is no problem: it is in ``Destination.refused``.
    """
    documents, unreadable = parse_text(text, file)
    reader = Reader(file, 0, list(unreadable))
    parsed = [
        parse_destination(reader, node, path, published)
        for document in documents
        for node, path in _definitions(reader, document)
    ]
    usable = [] if unreadable else [each for each in parsed if each is not None]
    return usable, list(sort_problems(reader.problems))


def load_destinations(files: Iterable[tuple[str, str]]) -> list[Destination]:
    """The destinations of all files, given as (name, text). Raises DefinitionsInvalid with every problem."""
    return [each.destination for each in load_parsed(files)]


def load_parsed(
    files: Iterable[tuple[str, str]], found_before: Sequence[DefinitionProblem] = ()
) -> list[ParsedDestination]:
    """``load_destinations``, each with the tree that it was read from; ``found_before`` are more problems."""
    parsed: list[ParsedDestination] = []
    problems = list(found_before)
    for file, text in files:
        found, wrong = parse_destinations(text, file)
        parsed += found
        problems += wrong
    problems += check_destinations(parsed)
    if problems:
        raise DefinitionsInvalid(problems)
    return parsed


def load_published(text: str, source: str) -> Destination:
    """One definition as it was published; ``refused`` says what this version doesn't take of it any more.

    Raises DefinitionsInvalid.
    """
    parsed, problems = parse_destinations(text, source, published=True)
    if len(parsed) != 1 and not problems:
        problems = [DefinitionProblem("wrong_value", "must be one destination", "", source, 1, 1)]
    if problems:
        raise DefinitionsInvalid(problems)
    return parsed[0].destination


def check_destinations(parsed: Sequence[ParsedDestination]) -> list[DefinitionProblem]:
    """Names that are given twice."""
    first: dict[str, ParsedDestination] = {}
    problems = []
    for each in parsed:
        name, at = each.destination.name, each.name_at
        other = first.setdefault(name, each)
        if other is not each:
            hint = f"first used at {other.file}:{other.name_at.line}:{other.name_at.column}"
            message = f"name '{name}' is taken"
            path = join(each.path, "name")
            problems.append(
                DefinitionProblem("duplicate", message, path, each.file, at.line, at.column, hint)
            )
    return problems


def _definitions(reader: Reader, document: Node) -> Iterable[tuple[Node, str]]:
    if isinstance(document.value, Mapping) and "destinations" in document.value:
        reader.keys(document.value, "", ("destinations",))
        node = document.value["destinations"].node
        for at, item in enumerate(reader.items(node, "destinations", "destinations") or ()):
            yield item, join("destinations", at)
    elif isinstance(document.value, tuple):
        hint = "put it under the key destinations"
        reader.problem("wrong_type", "a list can't stand on its own", "", document, hint)
    else:
        yield document, ""
