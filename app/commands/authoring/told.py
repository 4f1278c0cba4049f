"""Errors and warnings of definitions, as commands print them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rules.parse.problems import DefinitionProblem


def told(problems: Iterable[DefinitionProblem], warnings: Iterable[DefinitionProblem]) -> Iterator[str]:
    """A line for each, in the order of files and lines; ``warning:`` stands before the text of a warning."""
    from rules.parse.problems import sort_problems

    marked = [replace(each, message=f"warning: {each.message}") for each in warnings]
    for each in sort_problems([*problems, *marked]):
        yield str(each)


def counted(count: int, noun: str) -> str:
    return f"{count} {noun if count == 1 else noun + 's'}"
