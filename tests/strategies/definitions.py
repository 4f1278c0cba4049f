"""Rules and audiences that refer to each other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.strategies.conditions import attribute_condition, event_condition, not_followed, sequence
from tests.strategies.dice import Dice
from tests.strategies.domains import ZONES, Domain

Json = Any
SCHEDULES = [
    "daily", "weekly", "monthly", "once",
    "0 6 * * *", "30 2 * * *", "*/30 * * * *", "0 0 1 * *", "15 1 * * sun",
]  # fmt: skip
POINTS = [1, 2, -1, 0.1, 0.2, 0.7, 3]
IDS = ["d", "b", "e", "a", "c", "f"]
"""An audience may refer to those before it, whose ids come before and after its own in the alphabet."""


def audiences(dice: Dice, domain: Domain) -> list[Json]:
    zones = dice.pick([*([zone] for zone in ZONES), ZONES])
    found: list[Json] = []
    for at in range(dice.whole(1, 6)):
        definition = {"id": IDS[at], "name": IDS[at].upper(), "timezone": dice.pick(zones)}
        if dice.once_in(5):
            definition |= {"type": "batch", "schedule": dice.pick(SCHEDULES)}
        definition["rule"] = rule(dice, domain, tuple(each["id"] for each in found), depth=2)
        found.append(definition)
    return found


def rule(dice: Dice, domain: Domain, others: tuple[str, ...], depth: int) -> Json:
    """``others``: the audiences that it may refer to."""
    leaves = ["event"] * 6 + ["attribute", "sequence", "not_followed"] + ["audience"] * min(len(others), 2)
    composed = ["not", "all", "any", "at_least", "score"] if depth else []
    kind = dice.pick(leaves + composed)
    if kind == "event":
        return event_condition(dice, domain, others)
    if kind == "attribute":
        return attribute_condition(dice, domain)
    if kind == "sequence":
        return sequence(dice, domain)
    if kind == "not_followed":
        return not_followed(dice, domain)
    if kind == "audience":
        found = {"audience": dice.pick(others)}
        return found | {"for": dice.pick(domain.durations)} if dice.pick([False, True]) else found
    if kind == "not":
        return {"not": rule(dice, domain, others, depth - 1)}
    parts = [rule(dice, domain, others, depth - 1) for _ in range(dice.whole(1, 3))]
    if kind == "at_least":
        return {"at_least": dice.whole(1, len(parts)), "of": parts}
    return score(dice, parts) if kind == "score" else {kind: parts}


def score(dice: Dice, parts: list[Json]) -> Json:
    """With a bound that some sum of the points can meet, because others are refused."""
    scored = [{"when": part, "points": dice.pick(POINTS)} for part in parts]
    points = [Decimal(str(part["points"])) for part in scored]
    least, most = sum(each for each in points if each < 0), sum(each for each in points if each > 0)
    bounds: list[Json] = [{"gte": float(most)}, {"lte": float(least)}]
    if least < most:
        bounds += [{"gt": float(least)}, {"lt": float(most)}, {"between": [float(least), float(most) / 2]}]
    return {"score": scored} | dice.pick(bounds)
