"""JSON text to a tree with positions, which the standard library's decoder doesn't keep."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from typing import Final

from rules.parse.document import Builder, Entry, Node, Stopped, Value

_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9]\d*))(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
_CONSTANT = re.compile(r"true|false|null")
_CONSTANTS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None}
_STRINGS = JSONDecoder()


def parse_json(text: str, builder: Builder) -> Node:
    """The one document of a JSON text. Raises Stopped at a syntax error."""
    return _Scanner(text, builder, [0, *(match.end() for match in re.finditer("\n", text))]).document()


@dataclass(slots=True)
class _Scanner:
    """``at`` is the offset of the next character, ``starts`` those of the lines."""

    text: str
    builder: Builder
    starts: list[int]
    at: int = 0

    def document(self) -> Node:
        node = self.node(1)
        if self.peek():
            raise self.expected("the end")
        return node

    def position(self) -> tuple[int, int]:
        line = bisect_right(self.starts, self.at)
        return line, self.at - self.starts[line - 1] + 1

    def expected(self, what: str) -> Stopped:
        found = repr(self.text[self.at]) if self.at < len(self.text) else "the end"
        return self.builder.stop("syntax", f"not JSON: expected {what}, found {found}", *self.position())

    def peek(self) -> str:
        """The next character that isn't blank; empty at the end."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def take(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self.at += 1
        return True

    def node(self, depth: int) -> Node:
        self.peek()
        line, column = self.position()
        # Counted before its content is read, so that no nesting gets past the limits.
        self.builder.node(None, line, column, depth)
        return Node(self.value(line, column, depth), line, column)

    def value(self, line: int, column: int, depth: int) -> Value:
        if self.take("{"):
            return self.entries(depth)
        if self.take("["):
            return self.items(depth)
        if self.peek() == '"':
            return self.builder.text(self.string(), line, column)
        if match := _CONSTANT.match(self.text, self.at):
            self.at = match.end()
            return _CONSTANTS[match[0]]
        if match := _NUMBER.match(self.text, self.at):
            self.at = match.end()
            if match[2] or match[3]:
                return self.builder.decimal(match[0], line, column)
            return self.builder.integer(match[0], 10, line, column)
        raise self.expected("a value")

    def entries(self, depth: int) -> Mapping[str, Entry]:
        entries: dict[str, Entry] = {}
        if self.take("}"):
            return entries
        while True:
            if self.peek() != '"':
                raise self.expected("a key in double quotes")
            line, column = self.position()
            key = self.builder.text(self.string(), line, column)
            if not self.take(":"):
                raise self.expected("':'")
            self.builder.add(entries, key, Entry(self.node(depth + 1), line, column))
            if self.take("}"):
                return entries
            if not self.take(","):
                raise self.expected("',' or '}'")

    def items(self, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        if self.take("]"):
            return ()
        while True:
            items.append(self.node(depth + 1))
            if self.take("]"):
                return tuple(items)
            if not self.take(","):
                raise self.expected("',' or ']'")

    def string(self) -> str:
        try:
            value, self.at = _STRINGS.raw_decode(self.text, self.at)
        except JSONDecodeError as error:
            self.at = error.pos
            raise self.builder.stop("syntax", f"not JSON: {error.msg.lower()}", *self.position()) from None
        return str(value)
