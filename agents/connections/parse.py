"""Connections from YAML or JSON: every problem at once, each with its place and a hint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agents.connections.connection import EVERY_PROJECT, Connection, Reached, Use
from agents.connections.parse_kinds import PARSERS
from agents.deliver.definitions.destination import Json
from agents.deliver.definitions.parse_destination import NAME as CONNECTION_NAME
from agents.deliver.definitions.parse_listed import load_listed, parse_listed
from agents.deliver.definitions.parse_values import Fields, plain
from rules.parse.document import Entry, Node
from rules.parse.problems import DefinitionProblem
from rules.parse.values import NAME, Reader, join

_PROJECT: Final = re.compile(NAME)
KEYS: Final = ("name", "kind", "project", "label", "description", "use", "administer", *PARSERS)


@dataclass(frozen=True, slots=True)
class ParsedConnection:
    """A connection and where its name stands."""

    connection: Connection
    file: str
    path: str
    name_at: Node


def load_connections(
    files: Iterable[tuple[str, str]], found_before: Sequence[DefinitionProblem] = ()
) -> list[Connection]:
    """The connections of all files, given as (name, text).

    Raises DefinitionsInvalid with every problem, those that were found before included.
    """
    return [each.connection for each in load_listed(files, parse_connections, _named, found_before)]


def parse_connections(text: str, file: str) -> tuple[list[ParsedConnection], list[DefinitionProblem]]:
    """The connections without fault in a text, and the problems of the others.

    A document is one connection or a list of them under ``connections``; YAML may hold several documents.
    """
    return parse_listed(text, file, "connections", _connection)


def _named(parsed: ParsedConnection) -> tuple[str, str]:
    return parsed.connection.key, f"name '{parsed.connection.name}' is taken"


def _connection(reader: Reader, node: Node, path: str) -> ParsedConnection | None:
    """None: problems are noted at the reader."""
    entries = reader.entries(node, path, "a connection")
    if entries is None:
        return None
    faults = len(reader.problems)
    reader.keys(entries, path, KEYS)
    fields = Fields(reader, entries, path, node)
    name = fields.text("name", required="a connection needs 'name'") or ""
    if name and CONNECTION_NAME.fullmatch(name) is None:
        fields.wrong("name", "name must be 1 to 64 letters, digits, underscores or hyphens")
    project = fields.text("project") or "default"
    if _PROJECT.fullmatch(project) is None:
        fields.wrong("project", "project must be 1 to 64 letters, digits or underscores")
    reached = _reached(fields, entries)
    label, description = fields.text("label") or "", fields.text("description") or ""
    use, administer = _use(fields), frozenset(fields.texts("administer"))
    if len(reader.problems) > faults or reached is None:
        return None
    made = Connection(name, reached, project, label, description, use, administer, _document(node))
    return ParsedConnection(made, reader.file, path, entries["name"].node)


def _reached(fields: Fields, entries: Mapping[str, Entry]) -> Reached | None:
    kind = fields.choice("kind", tuple(PARSERS), None, required="a connection needs 'kind'")
    for other in PARSERS:
        if kind is not None and other != kind and other in entries:
            fields.wrong(other, f"'{other}' has no effect, because kind is {kind}")
    if kind is None:
        return None
    if kind not in entries:
        message = f"a connection of kind {kind} needs '{kind}'"
        fields.reader.problem("missing_key", message, fields.path, fields.at)
        return None
    inside, node = join(fields.path, kind), entries[kind].node
    own = fields.reader.entries(node, inside, kind)
    return None if own is None else PARSERS[kind](Fields(fields.reader, own, inside, node))


def _use(fields: Fields) -> Use:
    entry, inside = fields.entries.get("use"), join(fields.path, "use")
    own = fields.reader.entries(entry.node, inside, "use") if entry is not None else None
    if entry is None or own is None:
        return Use()
    fields.reader.keys(own, inside, ("projects", "keys"))
    within = Fields(fields.reader, own, inside, entry.node)
    projects = within.texts("projects")
    for each in projects:
        if each != EVERY_PROJECT and _PROJECT.fullmatch(each) is None:
            within.wrong("projects", f"'{each}' is no project: 1 to 64 letters, digits or underscores, or *")
    keys = within.texts("keys")
    if "keys" in own and not keys:
        within.wrong("keys", "keys must name at least one API key", "without 'keys' each key may use it")
    return Use(frozenset(projects), frozenset(keys) if "keys" in own else None)


def _document(node: Node) -> Mapping[str, Json]:
    found = plain(node)
    assert isinstance(found, Mapping)
    return found
