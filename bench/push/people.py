"""The users of ``bench push``: millions of rows, an exact number of them in the audience that is pushed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

AUDIENCE: Final = "subscribers"
DEFINITION: Final = (
    '{"id": "subscribers", "name": "Subscribers", "rule": {"attribute": "subscribed", "eq": true}}\n'
)
MOST: Final = 10_000_000
"""Names have seven digits, as those of the other benchmarks."""
SAMPLED: Final = 4_000
"""Users whose rows a worker makes out of events; the rows of all others are copies with other names."""
CITIES: Final = ("Oslo", "Bergen", "Shanghai", "München", "Paris, 5e")
TIERS: Final = ("gold", "silver", "none")


@dataclass(frozen=True, slots=True)
class People:
    """``rows`` users, ``members`` of them in the audience, evenly spread."""

    rows: int
    members: int

    @property
    def sampled(self) -> int:
        return min(SAMPLED, self.rows // 2)

    def is_member(self, number: int) -> bool:
        return number * self.members // self.rows != (number + 1) * self.members // self.rows

    def inside(self) -> Iterator[int]:
        """The members."""
        return filter(self.is_member, range(self.rows))

    def profile(self, number: int, at: str) -> str:
        """The profile update of a user, JSON; ``at``: its instant."""
        subscribed = "true" if self.is_member(number) else "false"
        return (
            f'{{"type":"profile","user_id":"{name_of(number)}","time":"{at}","set":{{'
            f'"city":"{city_of(number)}","tier":"{tier_of(number)}",'
            f'"spent":{spent_of(number)},"subscribed":{subscribed}}},'
            f'"identities":{{"email":"{email_of(number)}"}}}}'
        )


def name_of(number: int) -> str:
    """As ``bench.workload.events.Places`` calls users."""
    return f"u{number:07d}"


def email_of(number: int) -> str:
    return f"User.{number:07d}@Example.com"


def city_of(number: int) -> str:
    return CITIES[number // 7 % len(CITIES)]


def tier_of(number: int) -> str:
    return TIERS[number // 3 % len(TIERS)]


def spent_of(number: int) -> float:
    return number % 1_000 + 0.5


def hashed(number: int) -> str:
    """The normalised email's hash."""
    return hashlib.sha256(email_of(number).lower().encode()).hexdigest()
