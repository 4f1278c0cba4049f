"""What an example is about: few durations and values, so that things coincide; and when it happens:
milliseconds around a boundary of some calendar, or hours and days around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tests.model import instant_ms, instant_text
from tests.strategies.dice import Dice

Json = Any
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # clocks change by half an hour
    "America/Havana",  # clocks change at midnight
]
BOUNDARIES = [
    "2024-03-31T01:00:00Z",  # Berlin's clocks go forward,
    "2024-10-27T01:00:00Z",  # and back
    "2024-03-10T05:00:00Z",  # Havana's go forward at midnight, two hours before New York's
    "2024-11-03T05:00:00Z",  # and back
    "2024-04-06T15:00:00Z",  # Lord Howe's go back half an hour,
    "2024-10-05T15:30:00Z",  # and forward
    "2024-02-28T18:30:00Z",  # 29 February begins in Kolkata
    "2024-12-31T23:00:00Z",  # a year and a month begin in Berlin
    "2024-07-01T00:00:00Z",  # a month and a week begin
]


NUMBERS = (0, 1, 2, -1, 0.1, 0.2, 0.3, 1.0, 2.5, 1e16, -1e16)
SCALARS = (1, 0, 1.0, 2, "1", "a", "ab", "AB", True, False, None, "2024-05-01", "2024-05-01T12:00:00Z")
OBJECTS = ({"n": 1}, {"n": "a"}, {"n": {"m": 1}}, {"n": {"m": 2}, "n.m": 1}, {"n.m": "a"})
LISTS = (
    [{"n": 1}, {"n": "a", "m": 2}],
    [{"n": 2}, 1, {}],
    [{"n": 0.1}, {"n": 0.2, "m": None}, {"n": 0.3}],
    [{"l": [{"n": 1}, {"n": 2}]}, {"n": 1e16, "l": []}],
    {"l": [{"n": 1}, {"n": 0}]},
)
VALUES: tuple[Json, ...] = (*SCALARS, *NUMBERS, ["a", 1], [], *OBJECTS, *LISTS)


@dataclass(frozen=True)
class Domain:
    """Durations as text; steps of the clock between records, idle times and lateness in ms."""

    durations: tuple[str, ...]
    steps: tuple[int, ...]
    idles: tuple[int, ...]
    late: tuple[int, ...]
    before: tuple[int, ...]
    """How long before a boundary an example starts."""
    start_ms: int = 0
    values: tuple[Json, ...] = VALUES
    """What properties and attributes have, and are compared with."""

    @property
    def scalars(self) -> list[Json]:
        return [each for each in self.values if not isinstance(each, list | dict)] or [1]


HOUR, DAY = 3_600_000, 86_400_000
SHORT = Domain(
    ("2ms", "3ms", "5ms", "8ms", "13ms", "1s"),
    (0, 0, 0, 1, 1, 2, 3, 5, -2, 8),
    (0, 1, 3, 9),
    (0, 0, -1, -3, -6, 4),
    (0, 3, 9, 20),
)
LONG = Domain(
    ("30m", "1h", "2h", "12h", "1d", "24h", "2d", "7d"),
    (0, 0, 1, HOUR // 2, HOUR, 12 * HOUR, DAY, 2 * DAY, -HOUR, DAY - HOUR, DAY + HOUR),
    (0, HOUR, DAY, 7 * DAY, 31 * DAY),
    (0, 0, -HOUR // 2, -HOUR, -DAY, -7 * DAY, HOUR),
    (0, 1, HOUR, DAY, 2 * DAY),
)


def some_domain(dice: Dice) -> Domain:
    """One with few of everything."""
    wide = dice.pick([SHORT, LONG])
    start_ms = (instant_ms(dice.pick(BOUNDARIES)) or 0) - dice.pick(wide.before)
    durations = tuple({dice.pick(wide.durations): None for _ in range(3)})
    values = [dice.pick(VALUES) for _ in range(3)] + [dice.pick(NUMBERS) for _ in range(2)]
    values += [dice.pick(dates_near(start_ms))] if dice.once_in(2) else []
    return replace(wide, durations=durations, start_ms=start_ms, values=tuple(values))


@cache
def dates_near(start_ms: int) -> list[Json]:
    """Dates and instants that date operators have something to say of near ``start_ms``."""
    texts = [instant_text(start_ms + shift) for shift in (-400 * DAY, -DAY, -5, 0, 3, 2 * DAY)]
    numbers = [start_ms, start_ms + 3, start_ms // 1000, start_ms / 1000 + 2 * 86400, -1, 10**11]
    return [*texts, *numbers, texts[1][:10], texts[3][:10], "2020" + texts[3][4:10], "2020-02-29"]
