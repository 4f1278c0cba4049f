"""An independent reading of spec/rules.md, by brute force: keeps every record, evaluates from scratch.

It shares no code with ``rules``: definitions are plain dicts, instants and operators are its own. It is
slow and meant to be obviously right. It yields what the pipeline must yield, for any batching and crashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import fsum
from typing import Any

Json = Any
MISSING = object()
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_text(ms: int) -> str:
    return (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration_ms(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d|w)", text).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


@dataclass
class Happened:
    """An event of a user, with its clamped time."""

    time_ms: int
    name: str
    properties: dict[str, Json]


@dataclass
class Known:
    """Everything that is known of one user."""

    last_ms: int
    events: list[Happened] = field(default_factory=list)
    attributes: dict[str, Json] = field(default_factory=dict)
    seq: dict[str, int] = field(default_factory=dict)
    since_ms: dict[str, int] = field(default_factory=dict)


class Model:
    """One partition. ``expected`` has the bodies of the transitions, per user in order."""

    def __init__(self, definitions: list[dict[str, Json]]) -> None:
        self.rules = {each["id"]: each["rule"] for each in sorted(definitions, key=lambda each: each["id"])}
        self.lengths = sorted({each for rule in self.rules.values() for each in lengths_of(rule)})
        self.clock_ms = 0
        self.users: dict[str, Known] = {}
        self.expected: dict[str, list[dict[str, Json]]] = {}

    # -- what happens ----------------------------------------------------------------------------------

    def record(self, body: Mapping[str, Json], timestamp_ms: int) -> None:
        """One good record."""
        self.clock_ms = now_ms = max(self.clock_ms, timestamp_ms)
        user_id, time_ms = body["user_id"], body.get("time", timestamp_ms)
        user = self.users.get(user_id)
        if user is None:
            user = self.users[user_id] = Known(now_ms)
        self._fire(user_id, user, now_ms)
        trigger = {"event": body.get("event"), "id": body.get("id"), "time": instant_text(time_ms)}
        if body.get("type") == "profile":
            self._update(user, body)
            self._step(user_id, user, now_ms, "profile", trigger)
        else:
            happened = Happened(min(time_ms, now_ms), body["event"], body.get("properties") or {})
            user.events.append(happened)
            self._step(user_id, user, now_ms, "event", trigger)

    def advance(self, to_ms: int) -> None:
        self.clock_ms = max(self.clock_ms, to_ms)
        for user_id, user in self.users.items():
            self._fire(user_id, user, self.clock_ms)

    def members(self, user_id: str, at_ms: int) -> set[str]:
        """The audiences of the user at an instant from the clock on, if nothing more happens."""
        user = self.users.get(user_id)
        if user is None:
            return set()
        return {name for name, rule in self.rules.items() if truth(rule, user, max(at_ms, self.clock_ms))}

    # -- how it is decided -----------------------------------------------------------------------------

    def _update(self, user: Known, body: Mapping[str, Json]) -> None:
        attributes = user.attributes
        attributes.update(body.get("set") or {})
        for name, value in (body.get("set_once") or {}).items():
            attributes.setdefault(name, value)
        for name, amount in (body.get("add") or {}).items():
            current = attributes.get(name)
            attributes[name] = amount + (current if is_number(current) else 0)
        for name in body.get("unset") or ():
            attributes.pop(name, None)

    def _flips(self, user: Known, after_ms: int) -> Iterator[int]:
        """Every instant after ``after_ms`` at which an event leaves some window."""
        instants = {each.time_ms + length for each in user.events for length in self.lengths}
        return iter(sorted(each for each in instants if each > after_ms))

    def _fire(self, user_id: str, user: Known, before_ms: int) -> None:
        for flip_ms in self._flips(user, user.last_ms):
            if flip_ms >= before_ms:
                break
            self._step(user_id, user, flip_ms, "time", None)

    def _step(self, user_id: str, user: Known, at_ms: int, cause: str, trigger: Json) -> None:
        user.last_ms = at_ms
        for name, rule in self.rules.items():
            seq = user.seq.get(name, 0)
            inside = seq % 2 == 1
            if truth(rule, user, at_ms) is inside:
                continue
            entered_ms = user.since_ms[name] if inside else at_ms
            user.seq[name], user.since_ms[name] = seq + 1, at_ms
            exit_ms = None if inside else self._exit(rule, user, at_ms)
            self.expected.setdefault(user_id, []).append(
                {
                    "audience": name,
                    "user_id": user_id,
                    "seq": seq + 1,
                    "event": "exit" if inside else "enter",
                    "at": instant_text(at_ms),
                    "cause": cause,
                    "trigger": trigger,
                    "entered_at": instant_text(entered_ms),
                    "exit_at": None if exit_ms is None else instant_text(exit_ms),
                }
            )

    def _exit(self, rule: Json, user: Known, at_ms: int) -> int | None:
        return next((flip for flip in self._flips(user, at_ms) if not truth(rule, user, flip)), None)


def lengths_of(rule: Json) -> Iterator[int]:
    """The windows of a rule."""
    if "not" in rule:
        yield from lengths_of(rule["not"])
    elif "event" in rule:
        if "within" in rule:
            yield duration_ms(rule["within"])
    else:
        for part in rule.get("all") or rule.get("any") or ():
            yield from lengths_of(part)


def truth(rule: Json, user: Known, at_ms: int) -> bool:
    if "all" in rule:
        return all(truth(part, user, at_ms) for part in rule["all"])
    if "any" in rule:
        return any(truth(part, user, at_ms) for part in rule["any"])
    if "not" in rule:
        return not truth(rule["not"], user, at_ms)
    if "attribute" in rule:
        value = reach(user.attributes, rule["attribute"])
        return all(operator(name, operand, value) for name, operand in rule.items() if name != "attribute")
    names = rule["event"] if isinstance(rule["event"], list) else [rule["event"]]
    found = [
        each.properties
        for each in user.events
        if (each.name in names or names == ["*"])
        and each.time_ms <= at_ms
        and ("within" not in rule or each.time_ms > at_ms - duration_ms(rule["within"]))
        and fits(rule.get("where", {}), each.properties)
    ]
    for kind in ("count", "sum", "distinct"):
        if kind in rule:
            return compared(rule[kind], aggregate(kind, rule[kind].get("property"), found))
    return len(found) >= 1


def aggregate(kind: str, name: str | None, found: list[dict[str, Json]]) -> float | int:
    if kind == "count":
        return len(found)
    values = [reach(properties, name or "") for properties in found]
    if kind == "sum":
        return round(fsum(value for value in values if is_number(value)), 9)
    different: list[Json] = []
    for value in values:
        if isinstance(value, str | int | float) and not any(same(value, other) for other in different):
            different.append(value)
    return len(different)


def compared(bounds: Mapping[str, Json], value: float | int) -> bool:
    return all(ordered(name, bound, value) for name, bound in bounds.items() if name != "property")


def ordered(name: str, bound: Json, value: Json) -> bool:
    if name == "between":
        return bool(bound[0] <= value <= bound[1])
    answers = {"lt": value < bound, "lte": value <= bound, "gt": value > bound, "gte": value >= bound}
    answers |= {"eq": value == bound, "ne": value != bound}
    return bool(answers[name])


def fits(where: Mapping[str, Json], properties: Mapping[str, Json]) -> bool:
    for name, condition in where.items():
        if name == "all":
            holds = all(fits(part, properties) for part in condition)
        elif name == "any":
            holds = any(fits(part, properties) for part in condition)
        elif name == "not":
            holds = not fits(condition, properties)
        elif isinstance(condition, dict):
            value = reach(properties, name)
            holds = all(operator(each, operand, value) for each, operand in condition.items())
        else:
            name_of = "in" if isinstance(condition, list) else "eq"
            holds = operator(name_of, condition, reach(properties, name))
        if not holds:
            return False
    return True


def reach(values: Mapping[str, Json], dotted: str) -> Json:
    value: Json = values
    for name in dotted.split("."):
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value


def is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Json, other: Json) -> bool:
    """Equal scalars of one type."""
    if is_number(one) and is_number(other):
        return bool(one == other)
    return type(one) is type(other) and isinstance(one, str | bool | None) and one == other


def moment(value: Json) -> datetime | None:
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d", value):
        return None
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


NEGATED = {"ne": "eq", "not_in": "in", "not_contains": "contains"}


def operator(name: str, operand: Json, value: Json) -> bool:
    if name in NEGATED:
        return not operator(NEGATED[name], operand, value)
    if name == "exists":
        return (value is not MISSING and value is not None) is operand
    if name == "eq":
        return same(value, operand)
    if name == "in":
        return any(same(value, each) for each in operand)
    if name in ("gt", "gte", "lt", "lte", "between"):
        first = operand[0] if name == "between" else operand
        if is_number(first):
            return is_number(value) and ordered(name, operand, value)
        bound = [moment(each) for each in operand] if name == "between" else moment(operand)
        return moment(value) is not None and ordered(name, bound, moment(value))
    if isinstance(value, list):
        if name == "contains":
            return any(same(each, operand) for each in value)
        found = [any(same(each, item) for item in value) for each in operand] if name in ARRAYS else [False]
        return any(found) if name == "any_of" else all(found)
    if not isinstance(value, str) or not isinstance(operand, str):
        return False
    return bool(TEXT[name](value, operand))


ARRAYS = ("any_of", "all_of")
TEXT = {
    "contains": lambda value, operand: operand in value,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "icontains": lambda value, operand: operand.casefold() in value.casefold(),
    "ieq": lambda value, operand: operand.casefold() == value.casefold(),
    "matches": lambda value, operand: re.search(operand, value),
}
