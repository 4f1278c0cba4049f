"""What is wrong with definitions: where, why, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from rules.parse.field_words import how_to_write, our_name


@dataclass(frozen=True, slots=True)
class DefinitionProblem:
    """One mistake in a definition file. ``line`` and ``column`` count from 1.

    ``code`` is for programs (``unknown_key``, ``not_yet``, ...), ``path`` leads to the spot
    (``rule.all[0].within``; empty: the whole document), ``hint`` says how to mend it, if known.
    """

    code: str
    message: str
    path: str
    file: str
    line: int
    column: int
    hint: str = ""
    audience: str = ""
    """The id of the definition that it is in, where that could be read."""

    def __str__(self) -> str:
        at = f" (at {self.path})" if self.path else ""
        hint = f" - {self.hint}" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{at}{hint}"


class DefinitionsInvalid(Exception):
    """Definitions that can't be used, with every problem, in the order of files and lines."""

    def __init__(self, problems: Iterable[DefinitionProblem]) -> None:
        self.problems: Sequence[DefinitionProblem] = sort_problems(problems)
        super().__init__("\n".join(map(str, self.problems)))


def sort_problems(problems: Iterable[DefinitionProblem]) -> tuple[DefinitionProblem, ...]:
    """By file, line and column; problems of one spot stay in the order they were found."""
    return tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column)))


NAMES_TOLD = 40


def name_hint(name: str, allowed: Iterable[str]) -> str:
    """``did you mean 'within'? allowed: count, distinct, ...``; of very many names only the first ones."""
    names = sorted(allowed)
    told = ", ".join(names[:NAMES_TOLD])
    rest = f", and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
    return f"{_answer(name, names)}allowed: {told}{rest}"


def meant(name: str, allowed: Iterable[str]) -> str | None:
    """The one of the allowed names that somebody meant by another one: a word for the same thing
    (``field_words``), otherwise the nearest; None when there is none."""
    names = sorted(allowed)
    known = our_name(name, names)
    if known is not None:
        return known
    near = get_close_matches(name.lower(), names, n=1) or get_close_matches(name, names, n=1)
    return near[0] if near else None


def _answer(name: str, names: Sequence[str]) -> str:
    if written := how_to_write(name, names):
        return f"{written}; "
    found = meant(name, names)
    return "" if found is None else f"did you mean '{found}'? "
