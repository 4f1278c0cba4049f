"""Push definitions from YAML or JSON: every problem at once, each with its place and a hint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.deliver.definitions.parse_listed import load_listed, only_one, parse_listed
from agents.pushes.contract.parse_push import ParsedPush, parse_push
from agents.pushes.contract.push import Push
from rules.parse.problems import DefinitionProblem


def parse_pushes(text: str, file: str) -> tuple[list[ParsedPush], list[DefinitionProblem]]:
    """The pushes without fault in a text, and the problems of the others.

    A document is one push or a list of them under ``pushes``; YAML may hold several documents.
    """
    return parse_listed(text, file, "pushes", parse_push)


def load_pushes(
    files: Iterable[tuple[str, str]], found_before: Sequence[DefinitionProblem] = ()
) -> list[Push]:
    """The pushes of all files, given as (name, text).

    Raises DefinitionsInvalid with every problem, those that were found before included.
    """
    return [each.push for each in load_parsed(files, found_before)]


def load_parsed(
    files: Iterable[tuple[str, str]], found_before: Sequence[DefinitionProblem] = ()
) -> list[ParsedPush]:
    """As ``load_pushes``, with the places of the pushes."""
    return load_listed(files, parse_pushes, _named, found_before)


def load_published(text: str, source: str) -> Push:
    """One definition as it was published. Raises DefinitionsInvalid."""
    return only_one(parse_pushes(text, source), "one push", source).push


def _named(parsed: ParsedPush) -> tuple[str, str]:
    push = parsed.push
    return push.key, f"name '{push.name}' is taken in project {push.project}"
