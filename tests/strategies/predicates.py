"""Operators with their operands, and ``where``."""

from __future__ import annotations

from typing import Any

from tests.model import duration_ms
from tests.strategies.dice import Dice
from tests.strategies.domains import Domain, dates_near

Json = Any
SINGLE = ["p", "q", "o.n", "o.n.m"]
LISTS = ["p", "q", "o", "o.l"]
PROPERTIES = [*SINGLE, *SINGLE, "p[]", "o[].n", "p[].n", "o.l[].n", "o[].l[].n"]
OF_ELEMENTS = ["n", "m", "n.m", "l[].n"]
"""Names in the objects of lists."""
TEXTS = ["a", "A", "ab", ""]
COMPARED = ["gte", "gt", "lte", "lt"]
BOUNDS = [1, 0, 2, 0.5, "2024-05-01T06:00:00+01:00"]
RANGES = [[0, 1], [1, 2], [0, 2], [1, 1], ["2024-05-01", "2024-05-02"]]
ON_SCALARS = ["eq", "ne", "contains", "not_contains"]
ON_LISTS = ["in", "not_in", "any_of", "all_of"]
ON_TEXT = ["starts_with", "ends_with", "icontains", "ieq", "matches"]
WITH_REF = ["eq", "ne", *COMPARED, "contains", "not_contains", "starts_with", "ends_with", "icontains", "ieq"]


def operator(dice: Dice, domain: Domain) -> Json:
    """One operator with an operand."""
    if dice.once_in(8):
        return over_elements(dice, domain)
    kind = dice.pick(["scalar", "compared", "list", "text", "exists", "between", "date"])
    if kind == "scalar":
        return {dice.pick(ON_SCALARS): dice.pick(domain.scalars)}
    if kind == "compared":
        return {dice.pick(COMPARED): dice.pick([*BOUNDS, *dates_near(domain.start_ms)])}
    if kind == "list":
        return {dice.pick(ON_LISTS): dice.some(domain.scalars, 3)}
    if kind == "text":
        return {dice.pick(ON_TEXT): dice.pick(TEXTS)}
    if kind == "exists":
        return {"exists": dice.pick([True, False])}
    return {"between": dice.pick(RANGES)} if kind == "between" else on_date(dice, domain)


def over_elements(dice: Dice, domain: Domain, steps: tuple[str, ...] = ()) -> Json:
    tested_names = dice.some(OF_ELEMENTS, 2)
    return {
        dice.pick(["some", "every", "none"]): {name: tested(dice, domain, steps) for name in tested_names}
    }


def on_date(dice: Dice, domain: Domain) -> Json:
    kind = dice.pick(["newer_than", "older_than", "in_next", "between_next", "anniversary"])
    length = dice.pick(domain.durations)
    if kind == "between_next":
        near, far = dice.two(domain.durations, duration_ms)
        return {kind: [near, far]} if duration_ms(near) < duration_ms(far) else {"in_next": far}
    return {kind: {"within": length} if kind == "anniversary" else length}


def tests(dice: Dice, domain: Domain) -> Json:
    """Operators on one value; mostly one of them."""
    found = operator(dice, domain)
    return found | operator(dice, domain) if dice.once_in(4) else found


def where(dice: Dice, domain: Domain, steps: tuple[str, ...] = (), depth: int = 1) -> Json:
    """``steps``: those that may be referred to, which half of the leaves then do."""
    kind = dice.pick(["one", "one", "two", "not", "all", "any"]) if depth else "one"
    if kind == "one":
        return {dice.pick(PROPERTIES): tested(dice, domain, steps)}
    if kind == "two":
        return {name: tested(dice, domain, steps) for name in SINGLE[:2]}
    if kind == "not":
        return {"not": where(dice, domain, steps, depth - 1)}
    return {kind: [where(dice, domain, steps, depth - 1) for _ in range(dice.whole(1, 2))]}


def tested(dice: Dice, domain: Domain, steps: tuple[str, ...]) -> Json:
    if steps and dice.once_in(8):
        return over_elements(dice, domain, steps)
    if steps and dice.once_in(2):
        return {dice.pick(WITH_REF): {"ref": f"{dice.pick(steps)}.{dice.pick(SINGLE)}"}}
    if dice.once_in(3):
        return dice.pick([*domain.scalars, ["a", 1]])
    return tests(dice, domain)
