"""YAML 1.2 text to trees: the core schema (``no`` is text, dates are text), no tags, no merge keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML, events
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from rules.parse.document import Builder, Entry, Node, Value

_CONSTANTS: Final[Mapping[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?\d+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_BASES: Final = {"0o": 8, "0x": 16}


def parse_yaml(text: str, builder: Builder) -> Iterator[Node]:
    """The documents of a YAML stream, as far as they can be read. May raise Stopped."""
    return _Composer(_events(text, builder), builder).documents()


def _events(text: str, builder: Builder) -> Iterator[Any]:
    """The parser's events; nothing it raises gets out, but Stopped with the problem noted."""
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = ", ".join(part for part in (error.context, error.problem) if part)
        raise builder.stop("syntax", f"not YAML: {message}", line, column) from None
    except ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise builder.stop("syntax", f"not YAML: {error.reason}", line, column) from None
    except (YAMLError, ArithmeticError, AssertionError, AttributeError, LookupError, ValueError) as error:
        # ruamel.yaml lets slips of its own out on some input: "\UFFFFFFFF" is an OverflowError.
        raise builder.stop("syntax", f"not YAML: {error}".split("\n")[0], 1, 1) from None


@dataclass(slots=True)
class _Composer:
    """Events to nodes. Events, not ruamel's own nodes: those hide whether a tag was written."""

    stream: Iterator[Any]
    builder: Builder
    anchors: dict[str, Node] = field(default_factory=dict)

    def documents(self) -> Iterator[Node]:
        for event in self.stream:
            if isinstance(event, events.DocumentStartEvent):
                self.anchors.clear()
                yield self.node(next(self.stream), 1)

    def node(self, event: Any, depth: int) -> Node:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, events.AliasEvent):
            return self.alias(event.anchor, line, column, depth)
        if event.tag is not None:
            self.builder.problem("tag", f"a tag ({event.tag}) means nothing here", line, column)
        # Counted before its content is read, so that no nesting gets past the limits.
        self.builder.node(None, line, column, depth)
        plain = isinstance(event, events.ScalarEvent) and event.style is None
        node = Node(self.value(event, line, column, depth), line, column, plain)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def value(self, event: Any, line: int, column: int, depth: int) -> Value:
        if isinstance(event, events.ScalarEvent):
            return self.scalar(event, line, column)
        if isinstance(event, events.SequenceStartEvent):
            items = []
            while not isinstance(item := next(self.stream), events.SequenceEndEvent):
                items.append(self.node(item, depth + 1))
            return tuple(items)
        entries: dict[str, Entry] = {}
        while not isinstance(key := next(self.stream), events.MappingEndEvent):
            key_line, key_column = key.start_mark.line + 1, key.start_mark.column + 1
            plain = isinstance(key, events.ScalarEvent)
            if not plain:
                self.builder.problem("key", "a key must be text", key_line, key_column)
                self.node(key, depth + 1)
            node = self.node(next(self.stream), depth + 1)
            if plain:
                name = self.builder.text(key.value, key_line, key_column)
                self.builder.add(entries, name, Entry(node, key_line, key_column))
        return entries

    def scalar(self, event: Any, line: int, column: int) -> Value:
        text: str = event.value
        if event.style is not None:
            return self.builder.text(text, line, column)
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INTEGER.fullmatch(text):
            return self.builder.integer(text, _BASES.get(text[:2], 10), line, column)
        if _DECIMAL.fullmatch(text):
            return self.builder.decimal(text, line, column)
        if _NOT_FINITE.fullmatch(text):
            return self.builder.decimal(text.replace(".", ""), line, column)
        return self.builder.text(text, line, column)

    def alias(self, name: str, line: int, column: int, depth: int) -> Node:
        if name not in self.anchors:
            message = f"*{name} refers to an anchor that isn't there, or to what it is inside of"
            raise self.builder.stop("alias", message, line, column)
        return self.copy(self.anchors[name], depth)

    def copy(self, node: Node, depth: int) -> Node:
        """The node again, counted again: aliases of aliases can't get round the limits."""
        self.builder.node(None, node.line, node.column, depth)
        value = node.value
        if isinstance(value, tuple):
            value = tuple(self.copy(item, depth + 1) for item in value)
        elif isinstance(value, Mapping):
            value = {
                key: Entry(self.copy(entry.node, depth + 1), entry.line, entry.column)
                for key, entry in value.items()
            }
        return Node(value, node.line, node.column, node.plain)
