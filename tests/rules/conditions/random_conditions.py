"""Random conditions and logs of a few ms, from small domains so that things coincide.

They are thrown with dice rather than drawn piece by piece: that spreads further. ``drawn`` makes a strategy
of such a function; an example that fails is printed whole.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

from rules.model import language

T = 1_700_000_000_000
AHEAD_MS = 40
"""Longer than every window, bound and delay together."""

LONGEST_MS = 12
OPERATORS = ["gt", "gte", "gte", "lt", "lte", "eq", "ne"]
SOME = [1, 2, 1, 0, -1, 0.1, 0.2, 1.0, 3]
ODD = [True, "a", "1", None, [1], 2**63, "2023-11-14T22:13:20.005+00:00"]
FEW = [1, 1, 2, "a", None]
KINDS = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "distinct",
    "days",
    "first",
    "last",
    "since_first",
    "since_last",
]

Drawn = TypeVar("Drawn")
Log = list[tuple[int, int, str, dict[str, Any]]]
"""Of each event: ms since the one before, ms late, name, properties."""


def drawn(throw: Callable[[Random], Drawn]) -> st.SearchStrategy[Drawn]:
    return st.integers(0, 2**48).map(lambda seed: throw(Random(seed)))


def step_log_of(dice: Random) -> Log:
    """For patterns of several names: now mostly in the order of the steps, now hardly ever."""
    return log_of(dice, dice.choice(["xxxyyzo", "xyz", "yyyx", "zzyyx", "xy", "yzo"]))


def log_of(dice: Random, names: str = "xxxyo") -> Log:
    steps = dice.choice(([0, 1, 1, 2], [1, 2, 3, 5], [0, 0, 1]))
    late = dice.choice(([0], [0, 0, 0, 1, 3], [0, 0, 1, 5, 9, 20]))
    found = []
    for _ in range(dice.randint(3, 14)):
        properties = {"p": dice.choice(SOME * 2 + ODD), "q": dice.choice(ODD)} if dice.random() < 0.5 else {}
        if dice.random() < 0.5:
            properties = {"p": dice.choice(FEW), "q": dice.choice(FEW)}
        if dice.random() < 0.2:
            properties.pop("q", None)
        found.append((dice.choice(steps), dice.choice(late), dice.choice(names), properties))
    return found


def small(dice: Random) -> int:
    return dice.randint(1, LONGEST_MS)


def where_of(dice: Random) -> language.Predicate | None:
    old = language.Test(("p",), "older_than", 3)
    return dice.choice(
        [
            None,
            None,
            None,
            language.Test(("q",), "exists", True),
            language.Test(("q",), "eq", 1),
            language.NotTest(old),
            language.AllTests((old, language.Test(("q",), "ne", 1))),
        ]
    )


def window_of(dice: Random) -> language.Window:
    match dice.choice(["none", "within", "within", "ago", "ago", "from_to"]):
        case "within":
            return language.Within(small(dice))
        case "ago":
            near_ms = small(dice)
            return language.BetweenAgo(near_ms + small(dice), near_ms)
        case "from_to":
            return language.FromTo(dice.choice([None, T - 5, T + 3]), dice.choice([None, T + 8, T + 20]))
    return None


def comparisons_of(dice: Random, bounds: list[Any]) -> tuple[language.Comparison, ...]:
    found = []
    for _ in range(dice.choice([1, 1, 1, 2])):
        if dice.random() < 0.15:
            low, high = sorted((dice.choice(bounds), dice.choice(bounds)))
            found.append(language.Comparison("between", (low, high)))
        else:
            found.append(language.Comparison(dice.choice(OPERATORS), dice.choice(bounds)))  # type: ignore[arg-type]
    return tuple(found)


def aggregate_of(dice: Random, kind: str) -> language.Aggregate:
    if kind in ("first", "last"):
        positive, other = language.Test(("p",), "gt", 0), language.Test(("p",), "ne", 2)
        tests = [
            language.Test(("p",), "eq", 1),
            language.Test(("p",), "ne", 1),
            language.Test(("p",), "exists", False),
        ]
        test = dice.choice(
            [*tests, language.AllTests((positive, other)), language.Test(("p",), "older_than", 5)]
        )
        return language.Aggregate(kind, ("p",), (), test)  # type: ignore[arg-type]
    bounds: list[Any] = [1, 2, 2, 3, 0, 4]
    if kind.startswith("since"):
        bounds = list(range(1, LONGEST_MS + 1))
    elif kind in ("sum", "avg", "min", "max"):
        bounds = [0, 1, 2, 3, 0.1, 0.3, 1.5, -1]
    path = None if kind in ("count", "days", "since_first", "since_last") else ("p",)
    return language.Aggregate(kind, path, comparisons_of(dice, bounds))  # type: ignore[arg-type]


def names_of(dice: Random) -> tuple[str, ...]:
    return dice.choice([("x",), ("x",), ("x", "y"), ("*",)])


def event_condition_of(dice: Random, kind: str = "") -> language.EventCondition:
    aggregate = aggregate_of(dice, kind or dice.choice(KINDS))
    return language.EventCondition(names_of(dice), where_of(dice), aggregate, window_of(dice))


def last_window_of(dice: Random) -> language.Within | language.FromTo | None:
    return dice.choice(
        [None, language.Within(small(dice)), language.FromTo(T + 2, dice.choice([None, T + 20]))]
    )


def sequence_of(dice: Random) -> language.Sequence:
    alike, wheres, refs = dice.random() < 0.3, dice.random() < 0.3, dice.random() < 0.4
    within = dice.choice([0, 0.3, 0.6, 1])
    steps = []
    for number in range(dice.choice([2, 2, 3, 3, 4])):
        parts: list[language.Predicate] = (
            [language.Test(("p",), "exists", True)] if wheres and dice.random() < 0.4 else []
        )
        if number and refs and dice.random() < 0.6:
            ref = language.Ref(f"s{dice.randrange(number)}", (dice.choice("ppq"),))
            test: language.Predicate = language.Test(("p",), dice.choice(["eq", "eq", "ne", "gt"]), ref)
            if dice.random() < 0.2:
                test = language.AnyTest((test, language.Test(("q",), "eq", 1)))
            parts.append(test)
        where = None if not parts else parts[0] if len(parts) == 1 else language.AllTests(tuple(parts))
        names: tuple[str, ...] = ("xyzx"[number],)
        if alike:
            names = dice.choice([("x",), ("y",), ("x", "y"), ("*",)])
        within_ms = small(dice) if number and dice.random() < within else None
        steps.append(language.SequenceStep(language.EventPattern(names, where), within_ms, f"s{number}"))
    without = language.EventPattern((dice.choice("xyzo"),), None) if dice.random() < 0.35 else None
    total_ms = dice.randint(1, 20) if dice.random() < 0.3 else None
    return language.Sequence(tuple(steps), without, total_ms, last_window_of(dice))


def not_followed_of(dice: Random) -> language.NotFollowed:
    p = language.Test(("p",), "eq", language.Ref("a", ("p",)))
    q = language.NotTest(language.Test(("p",), "eq", language.Ref("a", ("q",))))
    both = language.AllTests(
        (language.Test(("q",), "ne", 1), language.Test(("p",), "gt", language.Ref("a", ("p",))))
    )
    where = dice.choice([None, None, None, language.Test(("q",), "eq", 1), p, q, both])
    event = language.EventPattern(names_of(dice), dice.choice([None, None, language.Test(("q",), "eq", 1)]))
    follower = language.EventPattern(dice.choice([("y",), ("y",), ("x",), ("x", "y"), ("*",)]), where)
    return language.NotFollowed(
        event, follower, small(dice), last_window_of(dice), dice.choice([False, True])
    )
