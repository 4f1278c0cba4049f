"""Operands of operators that are literals: which suit an operator (docs/semantics.md, section 7)."""

from __future__ import annotations

import re2

from rules.parse.document import Node
from rules.parse.values import Reader, is_number, is_scalar, join
from rules.predicates.operators import Operator, compile_pattern
from rules.time.calendar import calendar_of, instant_in_zone


def literal_fits(reader: Reader, operator: Operator, node: Node, path: str) -> bool:
    """Whether a literal operand suits the operator; a problem is noted if not."""
    name = operator.name
    match operator.operand:
        case "scalar":
            return _scalar(reader, name, node, path)
        case "scalars":
            items = reader.items(node, path, name) or ()
            fit = [_scalar(reader, name, item, join(path, at)) for at, item in enumerate(items)]
            return bool(fit) and all(fit)
        case "orderable" | "range":
            return check_ordered(reader, name, node, path, instants=True)
        case "flag":
            if not isinstance(node.value, bool):
                reader.wrong_type(node, path, name, "true or false")
            return isinstance(node.value, bool)
        case "text" | "pattern":
            if not isinstance(node.value, str):
                reader.wrong_type(node, path, name, "text")
                return False
            return operator.operand == "text" or _pattern(reader, node.value, node, path)
        case "duration" | "durations" | "anniversary" | "where":
            raise ValueError(f"{name} takes no literal")


def parse_durations(reader: Reader, operator: Operator, node: Node, path: str) -> tuple[int, int] | None:
    """``[3d, 7d]`` in ms."""
    ends = reader.items(node, path, operator.name)
    if ends is None:
        return None
    if len(ends) != 2:
        message = f"{operator.name} takes two durations, [near, far]"
        reader.problem("wrong_value", message, path, node, "such as [3d, 7d]")
        return None
    near, far = (reader.duration(end, join(path, at), operator.name) for at, end in enumerate(ends))
    if near is None or far is None:
        return None
    if near >= far:
        message = f"the far end of {operator.name} must be longer than its near end"
        reader.problem(
            "wrong_value", message, path, node, "such as [3d, 7d]: from 3 days ahead to 7 days ahead"
        )
        return None
    return near, far


def _scalar(reader: Reader, name: str, node: Node, path: str) -> bool:
    if not is_scalar(node):
        reader.wrong_type(node, path, name, "text, a number, true, false or null")
    return is_scalar(node)


def _pattern(reader: Reader, pattern: str, node: Node, path: str) -> bool:
    try:
        compile_pattern(pattern)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args else "it doesn't compile"
        hint = "RE2 syntax: no look-around and no back-references"
        reader.problem("pattern", f"not a regular expression: {reason}", path, node, hint)
        return False
    return True


def _bound(reader: Reader, operator: str, node: Node, path: str, instants: bool) -> float | int | None:
    """The number, or the instant in UTC milliseconds."""
    if is_number(node):
        return node.value  # type: ignore[return-value]
    if not (instants and isinstance(node.value, str)):
        reader.wrong_type(node, path, operator, "a number or an instant" if instants else "a number")
        return None
    try:
        return instant_in_zone(node.value, calendar_of(reader.timezone))
    except ValueError:
        hint = "such as 2024-05-01 or 2024-05-01T09:30:00Z; numbers go without quotes"
        message = f"{operator} needs a number or an instant, and '{node.value}' is neither"
        reader.problem("wrong_value", message, path, node, hint)
        return None


def check_ordered(reader: Reader, operator: str, node: Node, path: str, instants: bool) -> bool:
    """An operand of ``gt gte lt lte between``: numbers or, if ``instants``, instants given as text."""
    if operator != "between":
        return _bound(reader, operator, node, path, instants) is not None
    ends = reader.items(node, path, "between")
    if ends is None:
        return False
    if len(ends) != 2:
        reader.problem("wrong_value", "between takes two values, [low, high]", path, node)
        return False
    bounds = [_bound(reader, operator, end, join(path, at), instants) for at, end in enumerate(ends)]
    low, high = bounds
    if low is None or high is None:
        return False
    if isinstance(ends[0].value, str) is not isinstance(ends[1].value, str):
        reader.problem("wrong_value", "between takes two numbers or two instants", path, node)
        return False
    if low > high:
        reader.problem("wrong_value", "between has its low end above its high end", path, node)
        return False
    return True
