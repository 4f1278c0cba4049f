"""The demo's audiences counted from the purchases in plain Python, without the project's rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from app.demo.purchases import DAY_MS, Purchase

History = Sequence[Purchase]
"""One customer's purchases in order of time, none of them after the instant of the question."""


def within(history: History, now_ms: int, days: int) -> list[Purchase]:
    return [each for each in history if each.at_ms > now_ms - days * DAY_MS]


def cents(purchases: Iterable[Purchase]) -> int:
    return sum(round(each.dollars * 100) for each in purchases)


def months(purchases: Iterable[Purchase]) -> set[int]:
    """Calendar months, told by the days before each in these two years."""
    starts = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365, 396, 424, 455, 485, 516, 546)
    days = [(each.at_ms - 852_076_800_000) // DAY_MS for each in purchases]
    return {max(start for start in starts if start <= day) for day in days}


AUDIENCES: dict[str, Callable[[History, int], bool]] = {
    "new_buyers": lambda h, t: len(h) == 1 and bool(within(h, t, 30)),
    "one_time_buyers": lambda h, t: len(h) == 1 and not within(h, t, 60),
    "good_start": lambda h, t: len(h) == 1 and h[0].dollars >= 50 and not within(h, t, 30),
    "loyal": lambda h, t: len(within(h, t, 90)) >= 3,
    "regulars": lambda h, t: len(months(within(h, t, 180))) >= 4,
    "big_spenders": lambda h, t: cents(within(h, t, 180)) >= 250_00,
    "big_baskets": lambda h, t: any(e.cds >= 10 or e.dollars >= 150 for e in within(h, t, 60)),
    "january_best": lambda h, t: months(h[:1]) == {0} and (len(h) >= 10 or cents(h) >= 500_00),
    "lapsing": lambda h, t: bool(within(h, t, 180)) and not within(h, t, 90),
    "lapsed": lambda h, t: bool(h) and not within(h, t, 180),
    "won_back": lambda h, t: len(h) >= 2 and bool(within(h, t, 30)) and len(within(h, t, 210)) == 1,
}
WINDOWS_DAYS = (30, 60, 90, 180, 210)


@dataclass
class Figures:
    """Per audience. ``members`` are those just before the end."""

    enters: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    members: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in AUDIENCES})

    @property
    def transitions(self) -> int:
        return self.enters.total() + self.exits.total()


def histories(purchases: Iterable[Purchase]) -> dict[str, list[Purchase]]:
    found: dict[str, list[Purchase]] = {}
    for each in purchases:
        found.setdefault(each.customer, []).append(each)
    return found


def members_at(purchases: Iterable[Purchase], audience: str, now_ms: int) -> set[str]:
    """Who is in an audience at an instant."""
    before = histories(each for each in purchases if each.at_ms <= now_ms)
    return {customer for customer, history in before.items() if AUDIENCES[audience](history, now_ms)}


def figures(purchases: Sequence[Purchase], end_ms: int) -> Figures:
    """Enters, exits and members up to ``end_ms``: each customer at each instant that may matter."""
    result = Figures()
    for customer, history in histories(purchases).items():
        instants = {each.at_ms for each in history}
        instants |= {at_ms + days * DAY_MS for at_ms in instants for days in WINDOWS_DAYS}
        inside: set[str] = set()
        for now_ms in sorted(at_ms for at_ms in instants if at_ms < end_ms):
            known = [each for each in history if each.at_ms <= now_ms]
            now_inside = {name for name, rule in AUDIENCES.items() if rule(known, now_ms)}
            result.enters.update(now_inside - inside)
            result.exits.update(inside - now_inside)
            inside = now_inside
        for name in inside:
            result.members[name].add(customer)
    return result
