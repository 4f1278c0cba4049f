"""Destination definitions from YAML or JSON: every problem at once, each with its place and a hint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.deliver.definitions.destination import Destination
from agents.deliver.definitions.parse_destination import ParsedDestination, parse_destination
from agents.deliver.definitions.parse_listed import load_listed, only_one, parse_listed
from rules.parse.problems import DefinitionProblem


def parse_destinations(
    text: str, file: str, published: bool = False
) -> tuple[list[ParsedDestination], list[DefinitionProblem]]:
    """The destinations without fault in a text, and the problems of the others.

    A document is one destination or a list of them under ``destinations``; YAML may hold several documents.
    Of one that was ``published``, what older versions took is no problem: it is in ``Destination.refused``.
    """
    return parse_listed(
        text,
        file,
        "destinations",
        lambda reader, node, path: parse_destination(reader, node, path, published),
    )


def load_destinations(files: Iterable[tuple[str, str]]) -> list[Destination]:
    """The destinations of all files, given as (name, text). Raises DefinitionsInvalid with every problem."""
    return [each.destination for each in load_parsed(files)]


def load_parsed(
    files: Iterable[tuple[str, str]], found_before: Sequence[DefinitionProblem] = ()
) -> list[ParsedDestination]:
    """``load_destinations``, each with the tree that it was read from; ``found_before`` are more problems."""
    return load_listed(files, parse_destinations, _named, found_before)


def load_published(text: str, source: str) -> Destination:
    """One definition as it was published; ``refused`` says what this version doesn't take of it any more.

    Raises DefinitionsInvalid.
    """
    return only_one(parse_destinations(text, source, published=True), "one destination", source).destination


def _named(parsed: ParsedDestination) -> tuple[str, str]:
    name = parsed.destination.name
    return name, f"name '{name}' is taken"
