"""``count``, ``sum`` and ``distinct`` with their comparisons (spec: rules.md, sections 5 and 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from rules import model
from rules.document import Entry, Node
from rules.parse_predicate import check_ordered
from rules.parse_reader import Reader, join, literal

AggregateKind = Literal["count", "sum", "distinct"]
ComparisonName = Literal["gt", "gte", "lt", "lte", "eq", "ne", "between"]

AGGREGATES: Final[tuple[AggregateKind, ...]] = get_args(AggregateKind)
NOT_YET: Final = ("avg", "min", "max", "days", "first", "last", "since_last", "since_first")
AT_LEAST_ONE: Final = model.Aggregate("count", None, (model.Comparison("gte", 1),))
"""What an event condition without an aggregate asks for."""

_COMPARISONS: Final[tuple[ComparisonName, ...]] = get_args(ComparisonName)


def parse_aggregate(
    reader: Reader, kind: AggregateKind, entry: Entry, path: str, window: model.Window
) -> model.Aggregate | None:
    """``{gte: 3}`` of a count, ``{property: price, gte: 100}`` of the others; ``path`` leads to it."""
    entries = reader.entries(entry.node, path, kind)
    if entries is None:
        return None
    faults = len(reader.problems)
    name: model.Path | None = None
    if kind != "count":
        name = _property(reader, kind, entries, entry.node, path)
    compared = [key for key in _COMPARISONS if key in entries]
    reader.keys(entries, path, _COMPARISONS if kind == "count" else ("property", *_COMPARISONS))
    if not compared and len(reader.problems) == faults:
        hint = f"give one or more of {', '.join(_COMPARISONS)}"
        reader.problem("missing_key", f"{kind} is compared with nothing", path, entry.node, hint)
    comparisons = []
    for key in sorted(compared, key=list(entries).index):
        node, inside = entries[key].node, join(path, key)
        if _bound(reader, kind, key, node, inside, window):
            comparisons.append(model.Comparison(key, literal(node)))  # type: ignore[arg-type]
    if len(reader.problems) > faults:
        return None
    return model.Aggregate(kind, name, tuple(comparisons))


def _property(
    reader: Reader, kind: str, entries: Mapping[str, Entry], node: Node, path: str
) -> model.Path | None:
    if "property" not in entries:
        reader.problem("missing_key", f"{kind} needs a property", path, node, "add property: <its name>")
        return None
    entry, inside = entries["property"], join(path, "property")
    name = reader.text(entry.node, inside, "property")
    return None if name is None else reader.dotted(name, inside, entry.node)


def _bound(
    reader: Reader, kind: str, operator: ComparisonName, node: Node, path: str, window: model.Window
) -> bool:
    if not check_ordered(reader, operator, node, path, instants=False):
        return False
    if kind == "sum":
        return True
    bounds = node.value if isinstance(node.value, tuple) else (node,)
    for bound in bounds:
        if not isinstance(bound.value, int) or bound.value < 0:
            message = f"a bound of {kind} must be an integer of 0 or more"
            reader.problem("wrong_value", message, path, bound)
            return False
    if kind == "count" and window is None:
        return True  # a plain counter is exact, whatever its bound
    needed = max(int(bound.value) for bound in bounds)  # type: ignore[arg-type]
    needed += operator not in ("gte", "lt")  # the others tell n from n + 1
    if needed > reader.max_samples:
        what = "event times" if kind == "count" else "values"
        message = f"{kind} {operator} needs the {needed} latest {what}, more than state.max_samples"
        hint = f"state.max_samples is {reader.max_samples}"
        reader.problem("limit", message, path, node, hint)
        return False
    return True
