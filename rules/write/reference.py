"""The tables of the language reference (``docs/language.md``), made from those that the parser works by.

A page has them between ``<!-- table: operators -->`` and ``<!-- end -->``; ``fill`` writes them again, and a
test fails when a page is stale.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from rules.parse.aggregate import AGGREGATES, COMPARISONS, BoundKind
from rules.parse.audience import KEYS, SCHEDULES
from rules.parse.backfill import KEYS as BACKFILL
from rules.parse.definitions import MAX_SAMPLES
from rules.parse.event import MAX_STEPS, MIN_STEPS
from rules.parse.predicate import CHANGED_WITHIN, REF_OPERANDS
from rules.parse.rule import KINDS
from rules.parse.values import MAX_RULE_DEPTH
from rules.parse.window import LAST_UNITS, PERIODS, WINDOWS
from rules.predicates.operators import OPERATORS, OperandKind, Operator
from rules.time.durations import UNITS_MS

_TABLE = re.compile(r"<!-- table: (\w+) -->\n.*?<!-- end -->", re.DOTALL)


class UnknownTable(ValueError):
    """A page asks for a table that there isn't."""


def fill(page: str, tables: Mapping[str, Callable[[], str]] | None = None) -> str:
    """The page with its tables as they are now; by default those of the language. Raises UnknownTable."""
    known = TABLES if tables is None else tables

    def table(match: re.Match[str]) -> str:
        name = match[1]
        if name not in known:
            raise UnknownTable(f"no table '{name}'; there are {', '.join(known)}")
        return f"<!-- table: {name} -->\n{known[name]()}\n<!-- end -->"

    return _TABLE.sub(table, page)


_OPERANDS: Final[Mapping[OperandKind, str]] = {
    "scalar": "text, number, boolean or null",
    "scalars": "list",
    "text": "text",
    "orderable": "number, or instant or date as text",
    "range": "`[low, high]`",
    "pattern": "regular expression",
    "flag": "`true` or `false`",
    "duration": "duration",
    "durations": "`[duration, longer duration]`",
    "anniversary": "`{within: duration}`",
    "where": "`where` over an element",
}
_BOUNDS: Final[Mapping[BoundKind, str]] = {
    "whole": "whole number",
    "number": "number",
    "duration": "duration",
    "tests": "operators",
}


def _definition() -> str:
    return _table(("key", "is"), ((f"`{key}`", doc) for key, doc in KEYS.items()))


def _rules() -> str:
    return _table(("key", "true when"), ((f"`{key}`", doc) for key, doc in KINDS.items()))


def _windows() -> str:
    return _table(("window", "events that count"), ((f"`{key}`", doc) for key, doc in WINDOWS.items()))


def _periods() -> str:
    names = ", ".join(f"`{name}`" for name in PERIODS)
    units = ", ".join(f"`{unit}`" for unit in LAST_UNITS)
    return f"Named periods: {names}. Units of `{{last: 7, unit: day}}`: {units}."


def _aggregates() -> str:
    rows = (
        (f"`{kind.name}`", "yes" if kind.of_property else "", _BOUNDS[kind.bound], kind.doc)
        for kind in AGGREGATES.values()
    )
    return _table(("aggregate", "property", "compared with", "value"), rows)


def _comparisons() -> str:
    return f"Comparisons: {', '.join(f'`{name}`' for name in COMPARISONS)}."


def _operators() -> str:
    def row(operator: Operator, on: str = "") -> tuple[str, ...]:
        ref = "yes" if operator.operand in REF_OPERANDS else ""
        return f"`{operator.name}`", _OPERANDS[operator.operand], ref, operator.doc + on

    rows = [*map(row, OPERATORS.values()), row(CHANGED_WITHIN, " (attributes only)")]
    return _table(("operator", "operand", "`ref`", "true when the value"), rows)


def _units() -> str:
    return f"Units: {', '.join(f'`{unit}`' for unit in UNITS_MS)}."


def _schedules() -> str:
    return f"Schedules: {', '.join(f'`{name}`' for name in SCHEDULES)}, or a cron expression of five fields."


def _backfill() -> str:
    return _table(("key", "is"), ((f"`{key}`", doc) for key, doc in BACKFILL.items()))


def _limits() -> str:
    rows = (
        ("steps of a sequence", f"{MIN_STEPS} to {MAX_STEPS}"),
        ("rules, and tests of one `where`, within one another", f"{MAX_RULE_DEPTH} deep"),
        ("a duration, a `between_ago`, the periods of `last`", "a century"),
        ("`state.max_samples`: samples a user and condition", f"{MAX_SAMPLES}, unless set otherwise"),
    )
    return _table(("what", "limit"), rows)


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "definition": _definition,
    "rules": _rules,
    "windows": _windows,
    "periods": _periods,
    "aggregates": _aggregates,
    "comparisons": _comparisons,
    "operators": _operators,
    "units": _units,
    "schedules": _schedules,
    "backfill": _backfill,
    "limits": _limits,
}


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
