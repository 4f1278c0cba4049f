"""What an estimate answers with, over HTTP and on the command line."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from agents.estimate.interval import Sized
from rules.explain.explain import Kind

Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Day = Annotated[str, Meta(extra_json_schema={"format": "date"})]


class Size(Struct, frozen=True):
    """A number of users, and the interval that holds it with 95 % confidence; a point where it is exact."""

    users: int
    low: int
    high: int
    exact: bool

    @classmethod
    def of(cls, sized: Sized) -> Size:
        return cls(sized.users, sized.low, sized.high, sized.is_exact)


class PartSize(Struct, frozen=True):
    """A part of the rule: for how many users it holds by itself."""

    kind: Kind
    text: Annotated[str, Meta(description="What the part asks for, as a sentence")]
    size: Size
    keeps: Annotated[Size, Meta(description="In an `all`: it and all parts before it hold")] | UnsetType = (
        UNSET
    )
    drops: (
        Annotated[Size, Meta(description="In an `all`: all parts before it hold, and it doesn't")] | UnsetType
    ) = UNSET
    adds: Annotated[Size, Meta(description="In an `any`: it holds, and none before it")] | UnsetType = UNSET
    parts: list[PartSize] | UnsetType = UNSET


class DaySize(Struct, frozen=True):
    """The size at the end of a day of the audience's zone; of the last day, as of the instant asked about."""

    day: Day
    size: Size


class SampleMember(Struct, frozen=True):
    """One member, drawn by chance, with the rule as a tree of facts (as `explain` has it)."""

    user_id: str
    since: Instant
    exit_at: Instant | None
    why: dict[str, object]


class How(Struct, frozen=True):
    """How the figures were got."""

    log_users: Annotated[int, Meta(description="Different users that the log has records of")]
    log_users_exact: Annotated[bool, Meta(description="They were counted; beyond a million they aren't")]
    sampled_users: int
    looks: Annotated[int, Meta(description="How often the sample was judged; it doubled each time")]
    looks_planned: Annotated[int, Meta(description="The 5 % of error are shared by so many looks")]
    confidence: float
    records: Annotated[int, Meta(description="Records that were read; of those outside the sample the user")]
    passes: Annotated[int, Meta(description="How often the log was read")]
    seconds: float
    history_from: Annotated[
        Instant | None, Meta(description="The log's records from before are gone; null: it is whole")
    ] = None


class Estimate(Struct, frozen=True):
    """The size of one audience that need not be published."""

    project: str
    audience: str
    at: Instant
    size: Size
    users: Annotated[Size, Meta(description="Users of the project")]
    candidates: Annotated[Size, Meta(description="Users whom the rule could concern at all")]
    rule: PartSize
    days: list[DaySize]
    members: list[SampleMember]
    how: How


class Estimates(Struct, frozen=True):
    estimates: list[Estimate]
