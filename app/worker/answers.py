"""What lookups answer with (docs/http.md)."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from app.http.answers import Instant, Readiness
from rules.explain.explain import Kind


class MemberAudience(Struct, frozen=True):
    """An audience that a user is in."""

    id: str
    name: str
    since: Instant
    exit_at: Instant | None
    version: int


class StateSummary(Struct, frozen=True):
    """How much is kept of a user, and the instant that it is as of."""

    conditions: int
    now: Instant


class User(Struct, frozen=True):
    user_id: str
    project: str
    at: Instant
    attributes: dict[str, object]
    identities: dict[str, str]
    audiences: list[MemberAudience]
    state: StateSummary


class UserAudiences(Struct, frozen=True):
    user_id: str
    project: str
    at: Instant
    audiences: list[MemberAudience]


class Member(Struct, frozen=True):
    """Whether a user is in an audience; ``version`` is that of the definition which let the user in."""

    member: bool
    since: Instant | None
    exit_at: Instant | None
    at: Instant
    version: int | UnsetType = UNSET


class ExplainedNode(Struct, frozen=True):
    """A node of a rule, for one user at one instant."""

    kind: Kind
    text: Annotated[str, Meta(description="What the node asks for, as a sentence")]
    value: bool
    found: Annotated[str, Meta(description="What was found, as a sentence")]
    flips_at: Annotated[
        Instant | None,
        Meta(description="When the value changes next if nothing more happens; null: never"),
    ]
    points: Annotated[int | float, Meta(description="Of a part of a score")] | UnsetType = UNSET
    parts: list[ExplainedNode] | UnsetType = UNSET
    rule: (
        Annotated[dict[str, object], Meta(description="A condition as the language writes it")] | UnsetType
    ) = UNSET
    facts: Annotated[dict[str, object], Meta(description="What a condition rests on")] | UnsetType = UNSET


class Explanation(Struct, frozen=True):
    user_id: str
    project: str
    audience: str
    audience_name: str
    audience_version: int
    at: Instant
    member: bool
    since: Instant | None
    exit_at: Instant | None
    rule: ExplainedNode


class WorkerReadiness(Readiness, frozen=True, kw_only=True):
    """Partitions by number: those held, those whose rows are still being looked at for new definitions,
    and those with timers that are late."""

    partitions: list[int]
    of_partitions: int
    sweeping: list[int]
    overdue: list[int]
    audiences: int
    unreadable_definitions: dict[str, str]
