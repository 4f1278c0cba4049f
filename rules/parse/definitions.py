"""Definitions from text: every problem at once, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

from rules.model import language
from rules.model.keys import audience_key, condition_key, history_scope, key_bytes, schedule_scope
from rules.parse.audience import KEYS, ParsedAudience, parse_audience
from rules.parse.document import Node
from rules.parse.problems import DefinitionProblem, DefinitionsInvalid, sort_problems
from rules.parse.references import check_references
from rules.parse.text import parse_text
from rules.parse.values import UTC, Reader, join

MAX_SAMPLES = 1000
"""The default of the setting ``state.max_samples``."""


def parse_definitions(
    text: str,
    file: str,
    max_samples: int = MAX_SAMPLES,
    timezones: Mapping[str, str] = UTC,
    published: bool = False,
) -> tuple[list[ParsedAudience], list[DefinitionProblem]]:
    """The definitions without fault in a YAML or JSON text, and the problems of the others.

    A document is one definition or a list of them under ``audiences``; YAML may hold several documents.
    ``file`` is for the problems' positions; ``timezones`` are those of projects, for audiences
    that name none. ``published`` text was taken once: names that were taken then are taken still.
    """
    documents, unreadable = parse_text(text, file)
    reader = Reader(file, max_samples, list(unreadable), timezones=timezones, published=published)
    parsed = [
        parse_audience(reader, node, path)
        for document in documents
        for node, path in _definitions(reader, document)
    ]
    # A tree with faults of its own holds stand-ins: good for finding more faults, not for use.
    audiences = [] if unreadable else [each for each in parsed if each is not None]
    return audiences, list(sort_problems(_less_stand_ins(reader.problems, unreadable)))


def _less_stand_ins(
    problems: list[DefinitionProblem], unreadable: list[DefinitionProblem]
) -> Iterator[DefinitionProblem]:
    """A value that can't be read has a stand-in, whose faults nobody wrote."""
    places = {(each.line, each.column) for each in unreadable}
    yield from unreadable
    yield from (each for each in problems[len(unreadable) :] if (each.line, each.column) not in places)


def load_definitions(
    files: Iterable[tuple[str, str]], max_samples: int = MAX_SAMPLES
) -> list[language.Audience]:
    """The audiences of all files, given as (name, text). Raises DefinitionsInvalid with every problem."""
    audiences: list[ParsedAudience] = []
    problems: list[DefinitionProblem] = []
    for file, text in files:
        parsed, found = parse_definitions(text, file, max_samples)
        audiences.extend(parsed)
        problems.extend(found)
    problems.extend(check_together(audiences, found_before=problems))
    if problems:
        raise DefinitionsInvalid(problems)
    return [each.audience for each in audiences]


def load_published(file: str, text: str, max_samples: int = MAX_SAMPLES) -> language.Audience:
    """One published definition by itself: whether the audiences that it speaks of are there isn't looked at.

    Raises DefinitionsInvalid, also when there isn't exactly one.
    """
    parsed, problems = parse_definitions(text, file, max_samples, published=True)
    if not problems and len(parsed) != 1:
        problems = [
            DefinitionProblem("wrong_value", f"one definition is expected, not {len(parsed)}", "", file, 1, 1)
        ]
    if problems:
        raise DefinitionsInvalid(problems)
    return parsed[0].audience


def check_together(
    audiences: Iterable[ParsedAudience],
    references: bool = True,
    found_before: Iterable[DefinitionProblem] = (),
) -> Iterator[DefinitionProblem]:
    """What is wrong with definitions only beside one another.

    Shared ids, names and 32-bit keys; ``references`` to audiences that aren't among them (nor among those
    whose faults were ``found_before``), and in a circle.
    """
    audiences = list(audiences)
    yield from _clashes(audiences, "id", lambda audience: audience.id)
    yield from _clashes(audiences, "name", lambda audience: audience.name)
    yield from _taken_keys(audiences)
    if references:
        yield from check_references(audiences, found_before)


def _taken_keys(audiences: Iterable[ParsedAudience]) -> Iterator[DefinitionProblem]:
    taken: dict[tuple[str, int], tuple[bytes, str]] = {}
    for each in audiences:
        audience = each.audience
        project, zone = audience.project, audience.timezone
        scopes = schedule_scope(audience), history_scope(audience)
        own = audience_key(project, audience.id), audience.id.encode(), each.id_at
        parts = (
            (condition_key(project, part, zone, *scopes), key_bytes(part, zone, *scopes), each.id_at)
            for part in language.conditions(audience.rule)
        )
        for what, (key, content, at) in (("id", own), *(("condition", part) for part in parts)):
            first, where = taken.setdefault((f"{what} {project}", key), (content, audience.id))
            if first != content:
                message = f"the 32-bit key of this {what} is taken by audience '{where}'"
                hint = "a rare chance: rename it, or change the condition slightly"
                yield DefinitionProblem("key_taken", message, each.path, each.file, at.line, at.column, hint)


def _definitions(reader: Reader, document: Node) -> Iterator[tuple[Node, str]]:
    """The definitions of a document with the paths to them."""
    entries = document.value
    if isinstance(entries, tuple):
        hint = "put it under the key audiences"
        reader.problem("wrong_type", "a list can't stand on its own", "", document, hint)
    elif isinstance(entries, str | int | float | bool) or entries is None:
        yield document, ""
    elif "audiences" not in entries:
        named = [key for key, entry in entries.items() if isinstance(entry.node.value, tuple)]
        if len(named) == len(entries) == 1 and named[0] not in KEYS:
            reader.keys(entries, "", ("audiences",))
        else:
            yield document, ""
    else:
        reader.keys(entries, "", ("audiences",))
        items = reader.items(entries["audiences"].node, "audiences", "audiences") or ()
        for at, item in enumerate(items):
            yield item, join("audiences", at)


def _clashes(
    audiences: Iterable[ParsedAudience], what: str, value_of: Callable[[language.Audience], str]
) -> Iterator[DefinitionProblem]:
    first: dict[Hashable, ParsedAudience] = {}
    for each in audiences:
        audience = each.audience
        value, at = value_of(audience), each.id_at if what == "id" else each.name_at
        other = first.setdefault((audience.project, value), each)
        copied = what == "name" and other.audience.id == audience.id  # told of the id
        if other is not each and not copied:
            where = other.id_at if what == "id" else other.name_at
            message = f"{what} '{value}' is taken in project '{audience.project}'"
            hint = f"first used at {other.file}:{where.line}:{where.column}"
            path = join(each.path, what)
            yield DefinitionProblem("duplicate", message, path, each.file, at.line, at.column, hint)
