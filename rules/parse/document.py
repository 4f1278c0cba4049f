"""Definition text as a tree that knows where each value stands; what JSON and YAML have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from rules.parse.problems import DefinitionProblem

MAX_NODES: Final = 100_000
"""Values in one file, those repeated through YAML aliases counted each time."""

MAX_DEPTH: Final = 100
"""Lists and maps in one another."""

_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its position; ``line`` and ``column`` count from 1. ``plain``: text without quotes."""

    value: Value
    line: int
    column: int
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's value in a map, with the key's own position."""

    node: Node
    line: int
    column: int


Value: TypeAlias = bool | int | float | str | tuple[Node, ...] | Mapping[str, Entry] | None


def plain(node: Node) -> Any:
    """A tree's value without its places, as JSON has it."""
    value = node.value
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(entry.node) for key, entry in value.items()}
    return value


class Stopped(Exception):
    """The rest of a file can't be read; the problem has been noted."""


@dataclass(slots=True)
class Builder:
    """Makes the nodes of one file within the limits, noting problems on the way."""

    file: str
    problems: list[DefinitionProblem] = field(default_factory=list)
    nodes: int = 0

    def problem(self, code: str, message: str, line: int, column: int, hint: str = "") -> None:
        self.problems.append(DefinitionProblem(code, message, "", self.file, line, column, hint))

    def stop(self, code: str, message: str, line: int, column: int, hint: str = "") -> Stopped:
        self.problem(code, message, line, column, hint)
        return Stopped()

    def node(self, value: Value, line: int, column: int, depth: int) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.stop("too_large", f"more than {MAX_NODES} values in one file", line, column)
        if depth > MAX_DEPTH:
            raise self.stop("too_deep", f"more than {MAX_DEPTH} levels of nesting", line, column)
        return Node(value, line, column)

    def add(self, entries: dict[str, Entry], key: str, entry: Entry) -> None:
        """Puts an entry into a map; a key that is there already is a problem, and the first one stays."""
        first = entries.setdefault(key, entry)
        if first is not entry:
            message = f"'{key}' is given twice, first in line {first.line}"
            self.problem("duplicate_key", message, entry.line, entry.column)

    def integer(self, digits: str, base: int, line: int, column: int) -> int:
        """A signed 64-bit integer; 0 stands in for one that is too large."""
        number = int(digits, base) if len(digits) <= 70 else 2**63
        if number in _INT64:
            return number
        self.problem("number_range", "an integer must fit in 64 bits", line, column)
        return 0

    def decimal(self, digits: str, line: int, column: int) -> float:
        """A finite number; 0 stands in for one that is not."""
        number = float(digits)
        if math.isfinite(number):
            return number
        self.problem("number_range", "a number must be finite", line, column)
        return 0.0

    def text(self, value: str, line: int, column: int) -> str:
        """Text with the halves of surrogate pairs (from escapes) joined; a lone half is a problem."""
        if value.isascii():
            return value
        try:
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.problem("text_invalid", "half of a surrogate pair isn't a character", line, column)
            return "?"
