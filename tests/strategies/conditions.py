"""Conditions: events with windows and aggregates, sequences, followed by nothing, attributes."""

from __future__ import annotations

from typing import Any

from tests.model import duration_ms
from tests.strategies.dice import Dice
from tests.strategies.domains import BOUNDARIES, Domain
from tests.strategies.predicates import COMPARED, PROPERTIES, on_date, operator, tests, where

Json = Any
EVENTS = ["view", "buy", "rate"]
PATTERNS = [*EVENTS, *EVENTS, ["view", "buy"], "*"]
ATTRIBUTES = ["x", "y", "x.n", "x.n.m", "d"]
LISTED = ["x[].n", "x[]", "x.l[].n", "y[]"]
PERIODS = ["today", "yesterday", "this_week", "last_week", "this_month", "last_month", "this_year"]
UNITS = ["day", "hour", "week", "month"]
EDGES = [*BOUNDARIES[:4], BOUNDARIES[0][:10], BOUNDARIES[2][:10]]
SPANS = [[at, to] for at in BOUNDARIES for to in BOUNDARIES if at < to]
STEPS = ("s0", "s1", "s2", "s3")
COMPARISONS = [*COMPARED, "eq", "ne", "between"]
COUNTS = [1, 2, 0, 3]
SUMS = [0, 0.3, 1, 2.5, -1]
OF_PROPERTY = ["sum", "avg", "min", "max"]


def compared(dice: Dice, values: list[Any]) -> Json:
    """One comparison, or two."""
    kind = dice.pick(COMPARISONS)
    found = {kind: dice.two(values) if kind == "between" else dice.pick(values)}
    return found | {"ne": dice.pick(values)} if dice.once_in(6) else found


def length(dice: Dice, domain: Domain) -> Json:
    kind = dice.pick(COMPARISONS)
    if kind == "between":
        return {kind: dice.two(domain.durations, duration_ms)}
    return {kind: dice.pick(domain.durations)}


def aggregate(dice: Dice, domain: Domain) -> Json:
    kind = dice.pick(
        [
            "",
            "",
            "count",
            "count",
            *OF_PROPERTY,
            "distinct",
            "days",
            "first",
            "last",
            "since_last",
            "since_first",
        ]
    )
    if kind == "":
        return {}
    if kind in ("count", "days"):
        return {kind: compared(dice, COUNTS)}
    if kind in ("since_last", "since_first"):
        return {kind: length(dice, domain)}
    name = {"property": dice.pick(PROPERTIES)}
    if kind in ("first", "last"):
        return {kind: name | tests(dice, domain)}
    return {kind: name | compared(dice, COUNTS if kind == "distinct" else SUMS)}


def window(dice: Dice, domain: Domain, more: tuple[str, ...] = ()) -> Json:
    """One that sequences have, too, or one of ``more``: ``between_ago``, or audiences to be in since."""
    kind = dice.pick(["", "within", "within", "within", "period", "last", "from_to", *more])
    if kind == "":
        return {}
    if kind == "within":
        return {"within": dice.pick(domain.durations)}
    if kind == "period":
        return {"period": dice.pick(PERIODS)}
    if kind == "last":
        return {"period": {"last": dice.whole(1, 3), "unit": dice.pick(UNITS)}}
    if kind == "from_to":
        at, to = dice.pick(SPANS)
        return dice.pick([{"from": dice.pick(EDGES)}, {"to": dice.pick(EDGES)}, {"from": at, "to": to}])
    if kind == "between_ago":
        near, far = dice.two(domain.durations, duration_ms)
        return {"between_ago": [far, near]} if duration_ms(near) < duration_ms(far) else {"within": far}
    return {"within": {"audience": kind}}


def pattern(dice: Dice, domain: Domain, steps: tuple[str, ...] = ()) -> Json:
    found = {"event": dice.pick(PATTERNS)}
    wanted = dice.once_in(2) if steps else dice.once_in(4)
    return found | {"where": where(dice, domain, steps)} if wanted else found


def event_condition(dice: Dice, domain: Domain, audiences: tuple[str, ...]) -> Json:
    more = ("between_ago", *audiences)
    return pattern(dice, domain) | aggregate(dice, domain) | window(dice, domain, more)


def sequence(dice: Dice, domain: Domain) -> Json:
    steps: list[Json] = []
    for at in range(dice.pick([2, 2, 2, 3, 4])):
        step = pattern(dice, domain, STEPS[:at])
        if at and dice.pick([True, False]):
            step["within"] = dice.pick(domain.durations)
        steps.append({**step, "as": STEPS[at]})
    rule: Json = {"sequence": steps}
    if dice.once_in(3):
        rule["without"] = pattern(dice, domain)
    if dice.once_in(3):
        rule["total"] = dice.pick(domain.durations)
    return rule | window(dice, domain)


def not_followed(dice: Dice, domain: Domain) -> Json:
    follower = pattern(dice, domain, ("a",) if dice.pick([True, False]) else ())
    parts = {"not_followed_by": follower, "for": dice.pick(domain.durations)}
    parts |= dice.pick([{}, {"still": True}, {"still": False}])
    found = pattern(dice, domain) | parts | window(dice, domain)
    if "within" in found and duration_ms(found["within"]) <= duration_ms(found["for"]):
        del found["within"]  # it could never be true, and is refused
    return found


def attribute_condition(dice: Dice, domain: Domain) -> Json:
    kind = dice.pick(["tests", "date", "changed"])
    if kind == "tests":
        return {"attribute": dice.pick([*ATTRIBUTES, *LISTED])} | tests(dice, domain)
    if kind == "date":
        found = {"attribute": dice.pick(["d", "d", "d[]"])} | on_date(dice, domain)
        return found | operator(dice, domain) if dice.once_in(4) else found
    found = {"attribute": dice.pick(ATTRIBUTES), "changed_within": dice.pick(domain.durations)}
    return found | operator(dice, domain) if dice.once_in(4) else found
