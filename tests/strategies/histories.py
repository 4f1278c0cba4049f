"""What happens in an example, in order.

``("track", user, step_ms, event, late_ms, properties, id)``, ``("profile", user, step_ms, update)``,
``("delete", user, step_ms)``,
``("advance", ms, users at once)``, ``("look", user, ms ahead)``, ``("commit",)`` of source offsets, and
``("crash", writes until then, store lost, changelog compacted, changelog records at once)``.
"""

from __future__ import annotations

from typing import Any

from tests.strategies.conditions import EVENTS
from tests.strategies.dice import Dice, rolled
from tests.strategies.domains import Domain, dates_near

Json = Any
USERS = ["ann", "ann", "bob"]
KINDS = ["track"] * 12 + ["profile", "profile", "delete", "advance", "look", "commit", "crash"]
RECORDS = ("track", "profile", "delete")
IDS = [None] * 6 + ["", "twin", "twin", "other"]
"""None: one of its own; empty: none."""
Happening = tuple[Any, ...]


def happening(number: int, domain: Domain) -> Happening:
    """Made from one number: what hypothesis draws is then little. 0 is a commit, which hardly matters."""
    if number == 0:
        return ("commit",)
    dice = rolled(number)
    kind = dice.pick(KINDS)
    if kind == "track":
        event = dice.pick([*EVENTS, *EVENTS, "unheard"])
        properties = values(dice, ["p", "q", "o", *(["o.n"] if dice.once_in(4) else [])], domain)
        return (
            kind,
            dice.pick(USERS),
            dice.pick(domain.steps),
            event,
            dice.pick(domain.late),
            properties,
            dice.pick(IDS),
        )
    if kind == "profile":
        return kind, dice.pick(USERS), dice.pick(domain.steps), update(dice, domain)
    if kind == "delete":
        return kind, dice.pick(USERS), dice.pick(domain.steps)
    if kind == "advance":
        return kind, dice.pick(domain.idles), dice.whole(1, 3)
    if kind == "look":
        return kind, dice.pick(USERS), dice.pick([*domain.idles, -2])
    if kind == "commit":
        return (kind,)
    return kind, dice.whole(0, 12), dice.once_in(2), dice.once_in(2), dice.whole(1, 5)


def update(dice: Dice, domain: Domain) -> Json:
    made: Json = {}
    for part in dice.some(["set", "set", "set", "set_once", "unset", "add"], 2):
        if part == "unset":
            made[part] = [dice.pick(["x", "y", "d", "x.n"])]
        elif part == "add":
            made[part] = {dice.pick("xy"): dice.pick([1, -1, 0.5])}
        elif dice.once_in(2):
            dates = dates_near(domain.start_ms)
            made[part] = {"d": dice.some(dates, 3) if dice.once_in(4) else dice.pick(dates)}
        elif dice.once_in(3):
            made[part] = {"x": values(dice, ["n", "m"], domain)}
        else:
            made[part] = values(dice, ["x", "y", *(["x.n"] if dice.once_in(4) else [])], domain) or {"x": 1}
    return made


def values(dice: Dice, names: list[str], domain: Domain) -> Json:
    return {name: dice.pick(domain.values) for name in names if not dice.once_in(3)}
