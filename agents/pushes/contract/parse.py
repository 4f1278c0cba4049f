"""Push definitions from YAML or JSON: every problem at once, each with its place and a hint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agents.pushes.contract.parse_push import ParsedPush, parse_push
from agents.pushes.contract.push import Push
from rules.parse.document import Node
from rules.parse.problems import DefinitionProblem, DefinitionsInvalid, sort_problems
from rules.parse.text import parse_text
from rules.parse.values import Reader, join

LISTED: str = "pushes"
"""The key of a list of definitions."""


def parse_pushes(text: str, file: str) -> tuple[list[ParsedPush], list[DefinitionProblem]]:
    """The pushes without fault in a text, and the problems of the others.

    A document is one push or a list of them under ``pushes``; YAML may hold several documents.
    """
    documents, unreadable = parse_text(text, file)
    reader = Reader(file, 0, list(unreadable))
    parsed = [
        parse_push(reader, node, path)
        for document in documents
        for node, path in _definitions(reader, document)
    ]
    usable = [] if unreadable else [each for each in parsed if each is not None]
    return usable, list(sort_problems(reader.problems))


def load_pushes(
    files: Iterable[tuple[str, str]], found_before: Sequence[DefinitionProblem] = ()
) -> list[Push]:
    """The pushes of all files, given as (name, text).

    Raises DefinitionsInvalid with every problem, those that were found before included.
    """
    parsed: list[ParsedPush] = []
    problems = list(found_before)
    for file, text in files:
        found, wrong = parse_pushes(text, file)
        parsed += found
        problems += wrong
    problems += _taken_names(parsed)
    if problems:
        raise DefinitionsInvalid(problems)
    return [each.push for each in parsed]


def load_published(text: str, source: str) -> Push:
    """One definition as it was published. Raises DefinitionsInvalid."""
    parsed, problems = parse_pushes(text, source)
    if len(parsed) != 1 and not problems:
        problems = [DefinitionProblem("wrong_value", "must be one push", "", source, 1, 1)]
    if problems:
        raise DefinitionsInvalid(problems)
    return parsed[0].push


def _taken_names(parsed: Sequence[ParsedPush]) -> list[DefinitionProblem]:
    first: dict[str, ParsedPush] = {}
    problems = []
    for each in parsed:
        other, at = first.setdefault(each.push.key, each), each.name_at
        if other is not each:
            hint = f"first used at {other.file}:{other.name_at.line}:{other.name_at.column}"
            message = f"name '{each.push.name}' is taken in project {each.push.project}"
            path = join(each.path, "name")
            problems.append(
                DefinitionProblem("duplicate", message, path, each.file, at.line, at.column, hint)
            )
    return problems


def _definitions(reader: Reader, document: Node) -> Iterable[tuple[Node, str]]:
    if isinstance(document.value, Mapping) and LISTED in document.value:
        reader.keys(document.value, "", (LISTED,))
        node = document.value[LISTED].node
        for at, item in enumerate(reader.items(node, LISTED, LISTED) or ()):
            yield item, join(LISTED, at)
    elif isinstance(document.value, tuple):
        hint = f"put it under the key {LISTED}"
        reader.problem("wrong_type", "a list can't stand on its own", "", document, hint)
    else:
        yield document, ""
