"""From a condition of the model to the one that runs."""

from __future__ import annotations

from rules import model
from rules.canonical import condition_key
from rules.condition import Condition, count_bound, is_at_least
from rules.counts import CountAtLeastWithin, CountEver, CountWithin
from rules.distincts import DistinctEver, DistinctWithin
from rules.sums import SumEver, SumWithin


def build_condition(project: str, source: model.EventCondition, max_samples: int = 1000) -> Condition:
    """The run-time condition of its kind. ``max_samples`` bounds the events a sum keeps per user."""
    key = condition_key(project, source)
    kind = source.aggregate.kind
    ever = source.window is None
    if kind == "count":
        if ever:
            return CountEver(key, source, max_samples)
        comparisons = source.aggregate.comparisons
        if is_at_least(comparisons) and count_bound(comparisons) == at_least_needed(comparisons[0]):
            return CountAtLeastWithin(key, source, max_samples)
        return CountWithin(key, source, max_samples)
    if kind == "sum":
        return SumEver(key, source, max_samples) if ever else SumWithin(key, source, max_samples)
    return DistinctEver(key, source, max_samples) if ever else DistinctWithin(key, source, max_samples)


def at_least_needed(comparison: model.Comparison) -> int:
    """The least whole number that satisfies a ``gte`` or ``gt``."""
    operand = comparison.operand
    assert not isinstance(operand, tuple)
    whole = int(operand)
    if comparison.operator == "gte":
        return whole if whole == operand else whole + 1
    return whole + 1
