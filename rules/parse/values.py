"""Reading the values of a definition tree, with a problem noted for whatever isn't as expected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from rules.model import language
from rules.parse.document import Entry, Node
from rules.parse.problems import DefinitionProblem, meant, name_hint
from rules.time.durations import parse_duration

MAX_RULE_DEPTH = 32
"""Conditions within conditions, and likewise tests within tests of one ``where``."""

NAME: Final = "[A-Za-z0-9_]{1,64}"
"""Ids of audiences, projects, and names of steps."""

UTC: Final[Mapping[str, str]] = {}
"""No project has a time zone of its own."""

_NAME: Final = re.compile(NAME)


@dataclass(frozen=True, slots=True)
class AudienceReference:
    """Where a rule speaks of another audience by its id."""

    audience: str
    path: str
    at: Node


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part of the model was written: the path to it, and its value. ``part`` is the part itself, so
    that it lives as long as others are told from it by their identity."""

    part: object
    path: str
    node: Node


Part = TypeVar("Part")


@dataclass(slots=True)
class Reader:
    """The problems of one file so far. Its methods give None for a value that they found fault with.

    ``timezone`` is that of the audience being read; ``references`` are the audiences its rule speaks of;
    ``timezones`` are those of projects, for audiences that name none (``UTC`` where there is none, either).
    """

    file: str
    max_samples: int
    problems: list[DefinitionProblem] = field(default_factory=list)
    timezone: str = "UTC"
    references: list[AudienceReference] = field(default_factory=list)
    timezones: Mapping[str, str] = field(default_factory=dict)
    published: bool = False
    """The text was published once: names that were taken then are taken still."""
    places: dict[int, Place] = field(default_factory=dict)
    """Of the parts of the audience being read, by their identity."""

    def problem(self, code: str, message: str, path: str, at: Node | Entry, hint: str = "") -> None:
        self.problems.append(DefinitionProblem(code, message, path, self.file, at.line, at.column, hint))

    def placed(self, part: Part, path: str, node: Node) -> Part:
        """The part; where it stands is kept."""
        self.places[id(part)] = Place(part, path, node)
        return part

    def keys(self, entries: Mapping[str, Entry], path: str, allowed: Iterable[str]) -> None:
        """Notes keys that aren't allowed."""
        allowed = frozenset(allowed)
        for key, entry in entries.items():
            if key not in allowed:
                self.unknown("unknown_key", f"unknown key '{key}'", key, join(path, key), entry, allowed)

    def missing(
        self, entries: Mapping[str, Entry], required: Iterable[str], allowed: Iterable[str]
    ) -> tuple[str, ...]:
        """The required keys that are to be told as missing: not those that an unknown key was meant as,
        because that one has been told."""
        allowed = frozenset(allowed)
        strange = [key for key in entries if key not in allowed]
        absent = tuple(
            key for key in required if key not in entries and not any(meant(each, (key,)) for each in strange)
        )
        unclear = any(meant(each, allowed) is None for each in strange)
        return () if len(absent) == 1 and unclear else absent

    def unknown(
        self, code: str, message: str, name: str, path: str, at: Node | Entry, allowed: Iterable[str]
    ) -> None:
        self.problem(code, message, path, at, name_hint(name, allowed))

    def entries(self, node: Node, path: str, what: str) -> Mapping[str, Entry] | None:
        if isinstance(node.value, Mapping):
            return node.value
        self.wrong_type(node, path, what, "a map")
        return None

    def items(self, node: Node, path: str, what: str) -> tuple[Node, ...] | None:
        """The items of a list that isn't empty."""
        if not isinstance(node.value, tuple):
            self.wrong_type(node, path, what, "a list")
            return None
        if not node.value:
            self.problem("empty", f"{what} is an empty list", path, node)
            return None
        return node.value

    def text(self, node: Node, path: str, what: str) -> str | None:
        """Text that isn't blank."""
        if not isinstance(node.value, str):
            hint = "put it in quotes" if isinstance(node.value, bool | int | float) else ""
            self.wrong_type(node, path, what, "text", hint)
            return None
        if not node.value.strip():
            self.problem("empty", f"{what} is empty", path, node)
            return None
        return node.value

    def dotted(self, name: str, path: str, at: Node | Entry) -> language.Path | None:
        """A property's dotted name, split."""
        parts = tuple(name.split("."))
        if all(parts):
            return parts
        self.problem("property_name", f"'{name}' isn't a property name: a part of it is empty", path, at)
        return None

    def name(self, node: Node, path: str, what: str) -> str | None:
        """Text of 1 to 64 letters, digits and underscores."""
        value = self.text(node, path, what)
        if value is None or _NAME.fullmatch(value):
            return value
        message = f"{what} must be 1 to 64 letters, digits or underscores (A-Z a-z 0-9 _)"
        self.problem("wrong_value", message, path, node)
        return None

    def audience(self, node: Node, path: str) -> str | None:
        """The id of an audience that the rule speaks of."""
        value = self.name(node, path, "audience")
        if value is not None:
            self.references.append(AudienceReference(value, path, node))
        return value

    def duration(self, node: Node, path: str, what: str) -> int | None:
        """Milliseconds."""
        if not isinstance(node.value, str):
            self.wrong_type(node, path, what, "a duration", "such as 30m or 7d")
            return None
        try:
            return parse_duration(node.value)
        except ValueError as error:
            self.problem("duration", f"'{node.value}' isn't a duration: {error}", path, node)
            return None

    def flag(self, node: Node, path: str, what: str) -> bool:
        """True or false; false where it is neither, which is noted."""
        if isinstance(node.value, bool):
            return node.value
        self.wrong_type(node, path, what, "true or false")
        return False

    def required_duration(
        self,
        entries: Mapping[str, Entry],
        key: str,
        path: str,
        at: Node,
        what: str,
        allowed: Iterable[str],
    ) -> int | None:
        """That of a key which must be there; ``what`` needs it, and has the ``allowed`` keys."""
        if key not in entries:
            if self.missing(entries, (key,), allowed):
                self.problem("missing_key", f"{what} needs '{key}'", path, at, f"such as {key}: 30m")
            return None
        return self.duration(entries[key].node, join(path, key), key)

    def wrong_type(self, node: Node, path: str, what: str, expected: str, hint: str = "") -> None:
        message = f"{what} must be {expected}, not {describe(node)}"
        self.problem("wrong_type", message, path, node, hint)


def join(path: str, key: str | int) -> str:
    """``rule.all[0]`` and ``within``: ``rule.all[0].within``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def is_number(node: Node) -> bool:
    return isinstance(node.value, int | float) and not isinstance(node.value, bool)


def is_scalar(node: Node) -> bool:
    return node.value is None or isinstance(node.value, str | bool | int | float)


def literal(node: Node) -> object:
    """A scalar, or a list of them as a tuple."""
    return tuple(item.value for item in node.value) if isinstance(node.value, tuple) else node.value


def describe(node: Node) -> str:
    """What a value is, for messages: ``a list``, ``the number 5``, ..."""
    value = node.value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text '{value}'" if len(value) <= 40 else "text"
    return "a list" if isinstance(value, tuple) else "a map"
