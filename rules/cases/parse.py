"""Authors' cases from YAML or JSON, every problem with its place (docs/testing-audiences.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal, get_args

from rules.cases.case import Awaited, Case, CaseFile, Expectation, GivenRecord
from rules.parse.audience import ParsedAudience, parse_audience
from rules.parse.document import Entry, Node, plain
from rules.parse.problems import DefinitionProblem, sort_problems
from rules.parse.text import parse_text
from rules.parse.values import UTC, Reader, describe, join
from rules.state.row import Cause
from rules.time.durations import UNITS_MS
from rules.time.instants import format_instant, parse_instant

START_MS: Final = 1_704_067_200_000
"""2024-01-01T00:00:00Z, a Monday: where a case starts that doesn't say."""
USER: Final = "u1"
"""The user of records and expectations that name none."""

FILE_KEYS: Final = ("files", "audiences", "cases")
CASE_KEYS: Final = ("name", "start", "user_id", "only", "events", "expect", "transitions", "until")
UPDATE_KEYS: Final = ("set", "set_once", "unset", "add")
RECORD_KEYS: Final = (
    "type",
    "id",
    "project",
    "user_id",
    "event",
    "time",
    "properties",
    "identities",
    *UPDATE_KEYS,
)
EVENT_KEYS: Final = ("at", "timestamp", *RECORD_KEYS)
EXPECT_KEYS: Final = ("at", "user_id", "in", "not_in")
TRANSITION_KEYS: Final = (
    "at",
    "user_id",
    "enter",
    "exit",
    "seq",
    "cause",
    "trigger",
    "entered_at",
    "exit_at",
)
TRIGGER_KEYS: Final = ("event", "id", "time")
CAUSES: Final[tuple[str, ...]] = get_args(Cause)

_OFFSET = re.compile(r"([+-])((?:\d{1,15}(?:ms|s|m|h|d|w))+|0)", re.ASCII)
_PART = re.compile(r"(\d+)([a-z]+)")


def parse_cases(
    text: str, file: str, max_samples: int, timezones: Mapping[str, str] = UTC
) -> tuple[CaseFile, list[DefinitionProblem]]:
    """The cases of a file without fault, and the problems of the others."""
    documents, unreadable = parse_text(text, file)
    reader = Reader(file, max_samples, list(unreadable), timezones=timezones)
    audiences: list[ParsedAudience | None] = []
    definitions: list[Node] = []
    files: list[tuple[str, Node]] = []
    cases: list[Case | None] = []
    for document in documents:
        entries = reader.entries(document, "", "a file of cases")
        if entries is None:
            continue
        reader.keys(entries, "", FILE_KEYS)
        if "cases" not in entries:
            reader.problem("missing_key", "a file of cases needs 'cases'", "", document)
        for item, path in _items(reader, entries, "audiences", ""):
            definitions.append(item)
            audiences.append(parse_audience(reader, item, path))
        for item, path in _items(reader, entries, "files", ""):
            name = reader.text(item, path, "a file")
            files += [] if name is None else [(name, item)]
        cases += [_CaseReader(reader).read(item, path) for item, path in _items(reader, entries, "cases", "")]
    found = CaseFile(
        file,
        tuple(each for each in audiences if each is not None),
        tuple(definitions),
        tuple(files),
        () if unreadable else tuple(each for each in cases if each is not None),
    )
    return found, list(sort_problems(reader.problems))


def _items(reader: Reader, entries: Mapping[str, Entry], key: str, path: str) -> Iterator[tuple[Node, str]]:
    """The items of a list that may be empty, or not there."""
    if key not in entries:
        return
    node, inside = entries[key].node, join(path, key)
    if not isinstance(node.value, tuple):
        reader.wrong_type(node, inside, key, "a list")
        return
    for at, item in enumerate(node.value):
        yield item, join(inside, at)


class _CaseReader:
    """Reads one case; relative times count from its start."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.start_ms = START_MS
        self.user_id = USER
        self.mentions: list[tuple[str, str, Node]] = []

    def read(self, node: Node, path: str) -> Case | None:
        reader = self.reader
        entries = reader.entries(node, path, "a case")
        if entries is None:
            return None
        faults = len(reader.problems)
        reader.keys(entries, path, CASE_KEYS)
        if "name" in entries:
            name = reader.text(entries["name"].node, join(path, "name"), "name")
        else:
            name = None
            reader.problem("missing_key", "a case needs 'name'", path, node)
        self.start_ms = self._time(entries, "start", path, START_MS, relative=False)
        self.user_id = self._user(entries, path)
        only = self._audiences(entries, "only", path)
        events = tuple(self._events(entries, path))
        expected = [self._expected(*item) for item in _items(reader, entries, "expect", path)]
        awaited = [self._awaited(*item) for item in _items(reader, entries, "transitions", path)]
        if not entries.keys() & {"expect", "transitions"}:
            reader.problem("missing_key", "a case needs 'expect' or 'transitions'", path, node)
        last_ms = [
            self.start_ms,
            *(each.at_ms for each in (*events, *expected, *awaited) if each is not None),
        ]
        until_ms = self._time(entries, "until", path, max(last_ms))
        if name is None or len(reader.problems) > faults:
            return None
        return Case(
            name,
            self.start_ms,
            until_ms,
            only,
            events,
            tuple(each for each in expected if each is not None),
            tuple(each for each in awaited if each is not None) if "transitions" in entries else None,
            node,
            tuple(self.mentions),
        )

    def _events(self, entries: Mapping[str, Entry], path: str) -> Iterator[GivenRecord]:
        at_ms = self.start_ms
        for node, inside in _items(self.reader, entries, "events", path):
            record = self.reader.entries(node, inside, "an event")
            if record is None:
                continue
            self.reader.keys(record, inside, EVENT_KEYS)
            if "at" in record and "timestamp" in record:
                message = "at and timestamp are the same thing: give one of them"
                self.reader.problem("conflict", message, join(inside, "timestamp"), record["timestamp"])
            at_ms = self._time(record, "at" if "at" in record else "timestamp", inside, at_ms)
            body = {key: plain(record[key].node) for key in RECORD_KEYS if key in record}
            body.setdefault("user_id", self.user_id)
            if "event" not in body and any(key in body for key in UPDATE_KEYS):
                body.setdefault("type", "profile")
            if "time" in record:
                body["time"] = format_instant(self._time(record, "time", inside, at_ms))
            yield GivenRecord(at_ms, body, node, inside)

    def _expected(self, node: Node, path: str) -> Expectation | None:
        entries = self.reader.entries(node, path, "an expectation")
        if entries is None:
            return None
        self.reader.keys(entries, path, EXPECT_KEYS)
        if not entries.keys() & {"in", "not_in"}:
            self.reader.problem("missing_key", "an expectation needs 'in' or 'not_in'", path, node)
        at_ms = self._at(entries, node, path, "an expectation")
        inside, outside = (self._audiences(entries, key, path) for key in ("in", "not_in"))
        for audience in sorted(set(inside) & set(outside)):
            message = f"nobody is both in '{audience}' and not"
            self.reader.problem("conflict", message, join(path, "not_in"), entries["not_in"])
        return Expectation(at_ms, self._user(entries, path), inside, outside, node)

    def _awaited(self, node: Node, path: str) -> Awaited | None:
        reader = self.reader
        entries = reader.entries(node, path, "a transition")
        if entries is None:
            return None
        reader.keys(entries, path, TRANSITION_KEYS)
        kinds = [key for key in ("enter", "exit") if key in entries]
        if len(kinds) != 1:
            hint = "such as {at: +1h, enter: cart_abandoners}"
            reader.problem("missing_key", "a transition is one of enter and exit", path, node, hint)
            return None
        kind: Literal["enter", "exit"] = "enter" if kinds == ["enter"] else "exit"
        audience = self._audience(entries[kind].node, join(path, kind), kind)
        at_ms = self._at(entries, node, path, "a transition")
        details = dict(self._details(entries, path))
        if audience is None:
            return None
        return Awaited(at_ms, self._user(entries, path), kind, audience, details, node)

    def _details(self, entries: Mapping[str, Entry], path: str) -> Iterator[tuple[str, object]]:
        reader = self.reader
        if "seq" in entries:
            number, inside = entries["seq"].node, join(path, "seq")
            if type(number.value) is not int or number.value < 1:
                reader.wrong_type(number, inside, "seq", "a whole number of 1 or more")
            yield "seq", number.value
        if "cause" in entries:
            cause, inside = entries["cause"].node, join(path, "cause")
            text = reader.text(cause, inside, "cause")
            if text is not None and text not in CAUSES:
                reader.unknown("wrong_value", f"unknown cause '{text}'", text, inside, cause, CAUSES)
            yield "cause", text
        for key in ("entered_at", "exit_at"):
            if key in entries and entries[key].node.value is None:
                yield key, None
            elif key in entries:
                yield key, format_instant(self._time(entries, key, path, 0))
        if "trigger" in entries:
            trigger, inside = entries["trigger"].node, join(path, "trigger")
            if trigger.value is None:
                yield "trigger", None
            elif (given := reader.entries(trigger, inside, "trigger")) is not None:
                reader.keys(given, inside, TRIGGER_KEYS)
                fields = {key: plain(entry.node) for key, entry in given.items()}
                if "time" in given:
                    fields["time"] = format_instant(self._time(given, "time", inside, 0))
                yield "trigger", fields

    def _at(self, entries: Mapping[str, Entry], node: Node, path: str, what: str) -> int:
        if "at" not in entries:
            hint = "an instant, or such as +1h: from the case's start"
            self.reader.problem("missing_key", f"{what} needs 'at'", path, node, hint)
        return self._time(entries, "at", path, self.start_ms)

    def _time(
        self, entries: Mapping[str, Entry], key: str, path: str, default_ms: int, relative: bool = True
    ) -> int:
        """An instant, or how long after the case's start (``+1h30m``, ``-5m``, ``+0``)."""
        if key not in entries:
            return default_ms
        node, inside = entries[key].node, join(path, key)
        value = node.value
        try:
            if relative and value == 0 and type(value) is int:
                return self.start_ms
            if relative and isinstance(value, str) and value[:1] in "+-" and value:
                return self.start_ms + _offset_ms(value)
            return parse_instant(value)
        except ValueError:
            hint = "such as 2024-05-01T09:30:00Z" + (", or +1h30m: from the case's start" if relative else "")
            message = f"{key} must be an instant, not {describe(node)}"
            self.reader.problem("instant", message, inside, node, hint)
            return default_ms

    def _user(self, entries: Mapping[str, Entry], path: str) -> str:
        if "user_id" not in entries:
            return self.user_id
        node = entries["user_id"].node
        return self.reader.text(node, join(path, "user_id"), "user_id") or self.user_id

    def _audiences(self, entries: Mapping[str, Entry], key: str, path: str) -> tuple[str, ...]:
        """One id, or a list of them."""
        if key not in entries:
            return ()
        node, inside = entries[key].node, join(path, key)
        if not isinstance(node.value, tuple):
            found = [self._audience(node, inside, key)]
        else:
            found = [self._audience(item, join(inside, at), key) for at, item in enumerate(node.value)]
        return tuple(each for each in found if each is not None)

    def _audience(self, node: Node, path: str, what: str) -> str | None:
        audience = self.reader.name(node, path, what)
        if audience is not None:
            self.mentions.append((audience, path, node))
        return audience


def _offset_ms(text: str) -> int:
    """``+1h30m`` in ms. Raises ValueError."""
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError(text)
    length_ms = sum(int(number) * UNITS_MS[unit] for number, unit in _PART.findall(match[2]))
    return length_ms if match[1] == "+" else -length_ms
