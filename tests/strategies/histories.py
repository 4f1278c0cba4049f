"""What happens in an example, in order.

``("track", user, step_ms, event, late_ms, properties, id)``, ``("profile", user, step_ms, update)``,
``("advance", ms, users at once)``, ``("look", user, ms ahead)``, ``("commit",)`` of source offsets, and
``("crash", writes until then, store lost, changelog compacted, changelog records at once)``.

Each is made from one number, not drawn part by part: thousands of examples take a fifth of the time, and
smaller ones are found as well, by leaving out what isn't needed.
"""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.strategies.conditions import EVENTS
from tests.strategies.predicates import VALUES
from tests.strategies.scales import Scale, dates_near

Json = Any
USERS = ["ann", "bob", "cy"]
IDS = [None, None, None, None, "", "twin", "other"]
"""None: one of its own; empty: none."""
Happening = tuple[Any, ...]


def histories(scale: Scale, start_ms: int) -> st.SearchStrategy[list[Happening]]:
    numbers = st.integers(0, 2**30)
    return st.lists(numbers, min_size=4, max_size=40).map(
        lambda found: [happening(Random(each), scale, start_ms) for each in found]
    )


def happening(random: Random, scale: Scale, start_ms: int) -> Happening:
    pick = random.choice
    kind = pick(["track"] * 5 + ["profile", "advance", "look", "commit", "crash"])
    if kind == "track":
        event = pick([*EVENTS, *EVENTS, "unheard"])
        properties = some(random, ["p", "q", "o"], scale, start_ms)
        return kind, pick(USERS), pick(scale.steps), event, pick(scale.late), properties, pick(IDS)
    if kind == "profile":
        return kind, pick(USERS), pick(scale.steps), update(random, scale, start_ms)
    if kind == "advance":
        return kind, pick(scale.idles), random.randint(1, 3)
    if kind == "look":
        return kind, pick(USERS), pick([*scale.idles, -2])
    if kind == "commit":
        return (kind,)
    return kind, random.randint(0, 12), pick([True, False]), pick([True, False]), random.randint(1, 5)


def update(random: Random, scale: Scale, start_ms: int) -> Json:
    pick = random.choice
    made: Json = {}
    for part in random.sample(["set", "set", "set", "set_once", "unset", "add"], pick([1, 1, 2, 3])):
        if part == "unset":
            made[part] = [pick("xyd")]
        elif part == "add":
            made[part] = {pick("xy"): pick([1, -1, 0.5])}
        elif pick([True, False]):
            made[part] = {"d": pick(dates_near(start_ms))}
        else:
            made[part] = some(random, ["x", "y"], scale, start_ms) or {"x": 1}
    return made


def some(random: Random, names: list[str], scale: Scale, start_ms: int) -> Json:
    values = [*VALUES, *dates_near(start_ms)]
    return {name: random.choice(values) for name in names if random.random() < 0.5}
