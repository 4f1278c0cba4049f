"""Definitions of one kind in texts: one in a document, or a list of them under the kind's key."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from rules.parse.document import Node
from rules.parse.problems import DefinitionProblem, DefinitionsInvalid, sort_problems
from rules.parse.text import parse_text
from rules.parse.values import Reader, join


class Parsed(Protocol):
    """A definition, and where its name stands."""

    @property
    def file(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def name_at(self) -> Node: ...


OneParsed = TypeVar("OneParsed", bound=Parsed)
Found = tuple[list[OneParsed], list[DefinitionProblem]]


def parse_listed(
    text: str, file: str, key: str, parse: Callable[[Reader, Node, str], OneParsed | None]
) -> Found[OneParsed]:
    """The definitions without fault in a text, and the problems of the others.

    A document is one definition or a list of them under ``key``; YAML may hold several documents. ``parse``
    gets the path of each.
    """
    documents, unreadable = parse_text(text, file)
    reader = Reader(file, 0, list(unreadable))
    parsed = [
        parse(reader, node, path)
        for document in documents
        for node, path in _definitions(reader, document, key)
    ]
    usable = [] if unreadable else [each for each in parsed if each is not None]
    return usable, list(sort_problems(reader.problems))


def load_listed(
    files: Iterable[tuple[str, str]],
    parse: Callable[[str, str], Found[OneParsed]],
    named: Callable[[OneParsed], tuple[Hashable, str]],
    found_before: Sequence[DefinitionProblem] = (),
) -> list[OneParsed]:
    """The definitions of all files, given as (name, text). ``parse`` gets text and name.

    ``named``: what no two may share, and what is said when they do. Raises DefinitionsInvalid with every
    problem, those that were found before included.
    """
    parsed: list[OneParsed] = []
    problems = list(found_before)
    for file, text in files:
        found, wrong = parse(text, file)
        parsed += found
        problems += wrong
    problems += _names_taken(parsed, named)
    if problems:
        raise DefinitionsInvalid(problems)
    return parsed


def only_one(found: Found[OneParsed], what: str, source: str) -> OneParsed:
    """Of a text that is one definition, such as ``one push``. Raises DefinitionsInvalid."""
    parsed, problems = found
    if len(parsed) != 1 and not problems:
        problems = [DefinitionProblem("wrong_value", f"must be {what}", "", source, 1, 1)]
    if problems:
        raise DefinitionsInvalid(problems)
    return parsed[0]


def _names_taken(
    parsed: Iterable[OneParsed], named: Callable[[OneParsed], tuple[Hashable, str]]
) -> Iterator[DefinitionProblem]:
    first: dict[Hashable, OneParsed] = {}
    for each in parsed:
        name, message = named(each)
        at, other = each.name_at, first.setdefault(name, each)
        if other is not each:
            hint = f"first used at {other.file}:{other.name_at.line}:{other.name_at.column}"
            path = join(each.path, "name")
            yield DefinitionProblem("duplicate", message, path, each.file, at.line, at.column, hint)


def _definitions(reader: Reader, document: Node, key: str) -> Iterator[tuple[Node, str]]:
    """With the path to each."""
    if isinstance(document.value, Mapping) and key in document.value:
        reader.keys(document.value, "", (key,))
        for at, item in enumerate(reader.items(document.value[key].node, key, key) or ()):
            yield item, join(key, at)
    elif isinstance(document.value, tuple):
        hint = f"put it under the key {key}"
        reader.problem("wrong_type", "a list can't stand on its own", "", document, hint)
    else:
        yield document, ""
