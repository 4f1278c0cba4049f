"""Authors' cases: what happens, and what must come of it (``turnstile test``; docs/testing-audiences.md).

A case is data: records in log order, who must be where at which instant, which transitions must come out.
``rules.cases.parse`` reads it from YAML or JSON, ``app.simulate.cases`` runs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from rules.parse.audience import ParsedAudience
from rules.parse.document import Node
from rules.parse.problems import DefinitionProblem, name_hint


@dataclass(frozen=True, slots=True)
class GivenRecord:
    """A record: ``body`` as in an input topic, ``at_ms`` its record timestamp."""

    at_ms: int
    body: Mapping[str, object]
    place: Node
    path: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """Audiences that a user must be in, and must not be in, when everything up to ``at_ms`` has happened."""

    at_ms: int
    user_id: str
    inside: tuple[str, ...]
    outside: tuple[str, ...]
    place: Node


@dataclass(frozen=True, slots=True)
class Awaited:
    """A transition that must come out. ``details`` are other fields of its body, where the case gives them:
    instants as texts, ``trigger`` as those of its fields that are given."""

    at_ms: int
    user_id: str
    event: Literal["enter", "exit"]
    audience: str
    details: Mapping[str, object]
    place: Node


@dataclass(frozen=True, slots=True)
class Case:
    """``transitions`` are all that must come out, None when the case doesn't say. ``only``: the audiences
    that they are about; empty: all. The clock goes on until everything due at ``until_ms`` has happened."""

    name: str
    start_ms: int
    until_ms: int
    only: tuple[str, ...]
    events: tuple[GivenRecord, ...]
    expected: tuple[Expectation, ...]
    transitions: tuple[Awaited, ...] | None
    place: Node
    mentions: tuple[tuple[str, str, Node], ...]
    """(audience id, path, place) wherever the case names an audience."""


@dataclass(frozen=True, slots=True)
class CaseFile:
    """``definitions`` are the trees of ``audiences``; ``files`` are paths relative to this file."""

    file: str
    audiences: tuple[ParsedAudience, ...]
    definitions: tuple[Node, ...]
    files: tuple[tuple[str, Node], ...]
    cases: tuple[Case, ...]


def check_mentions(cases: CaseFile, audiences: Iterable[str]) -> Iterator[DefinitionProblem]:
    """What the cases say of audiences that there aren't."""
    known = frozenset(audiences)
    for case in cases.cases:
        for audience, path, at in case.mentions:
            if audience not in known:
                message, hint = f"no audience '{audience}'", name_hint(audience, known)
                yield DefinitionProblem(
                    "unknown_audience", message, path, cases.file, at.line, at.column, hint
                )
