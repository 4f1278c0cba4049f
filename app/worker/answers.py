"""What lookups answer with (docs/http.md)."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from msgspec import UNSET, Meta, Struct, UnsetType

from agents.backfill.progress.progress import State
from agents.evaluate.evaluator import Answer
from app.http.answers import Instant, Readiness
from app.lookup.answers import RECORDS_AS_OF
from rules.explain.explain import Kind
from rules.time.instants import format_instant


class MemberAudience(Struct, frozen=True):
    """An audience that a user is in."""

    id: str
    name: str
    since: Instant
    exit_at: Instant | None
    version: int


class StateSummary(Struct, frozen=True):
    """How much is kept of a user, and the instant that it is as of. ``first``: of the first record; null: it
    isn't known."""

    conditions: int
    now: Instant
    first: Instant | None


class Answered(Struct, frozen=True, kw_only=True):
    """Where a reader answered, and not the owner of the user's partition, the answer says so."""

    reader: bool | UnsetType = UNSET
    behind_ms: (
        Annotated[int, Meta(description="How far the answer's instant is behind the wall clock")] | UnsetType
    ) = UNSET
    records_as_of: Annotated[Instant, Meta(description=RECORDS_AS_OF)] | UnsetType = UNSET


class ToldBy(TypedDict, total=False):
    """The fields of ``Answered``."""

    reader: bool
    behind_ms: int
    records_as_of: str


def told_by(behind_ms: int | None, records_ms: int | None = None) -> ToldBy:
    """What an answer says of who gave it (None: the owner), and of the records that are in it (None: all up
    to its instant)."""
    told: ToldBy = {} if behind_ms is None else {"reader": True, "behind_ms": behind_ms}
    if records_ms is not None:
        told["records_as_of"] = format_instant(records_ms)
    return told


def told_of(answer: Answer) -> ToldBy:
    """The same of an answer as it was given."""
    return told_by(answer.behind_ms, answer.records_ms)


class User(Answered, frozen=True):
    user_id: str
    project: str
    at: Instant
    attributes: dict[str, object]
    identities: dict[str, str]
    audiences: list[MemberAudience]
    state: StateSummary


class UserAudiences(Answered, frozen=True):
    user_id: str
    project: str
    at: Instant
    audiences: list[MemberAudience]


class Member(Answered, frozen=True):
    """Whether a user is in an audience; ``version`` is that of the definition which let the user in."""

    member: bool
    since: Instant | None
    exit_at: Instant | None
    at: Instant
    version: int | UnsetType = UNSET


class PageMember(Struct, frozen=True):
    """A member of an audience; ``version`` is that of the definition which let the user in."""

    user_id: str
    since: Instant
    exit_at: Instant | None
    version: int


class MembersPage(Answered, frozen=True):
    """Some members of an audience, in an order that stays."""

    audience: str
    project: str
    at: Annotated[Instant, Meta(description="The page is right at this instant")]
    members: list[PageMember]
    next: Annotated[
        str | None, Meta(description="`after` of the next page; null: there is none. A page may be short")
    ]


class AudienceSize(Answered, frozen=True):
    """How many members an audience has."""

    audience: str
    project: str
    at: Instant
    members: int


class PartitionSizes(Answered, frozen=True):
    """How many members audiences (by id) have in one partition of the table; those without any are absent."""

    at: Instant
    sizes: dict[str, int]
    unsettled: Annotated[list[str], Meta(description="For these audiences rows are still being looked at")]


class HeldSizes(Struct, frozen=True):
    """Sizes by partition, of those that the worker holds."""

    partitions: dict[int, PartitionSizes]


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
    counts_from: (
        Annotated[
            Instant,
            Meta(
                description="Of a condition on events: only events from then on count, although it looks "
                "back further; not there: all that it looks at do"
            ),
        ]
        | UnsetType
    ) = UNSET
    points: Annotated[int | float, Meta(description="Of a part of a score")] | UnsetType = UNSET
    parts: list[ExplainedNode] | UnsetType = UNSET
    rule: (
        Annotated[dict[str, object], Meta(description="A condition as the language writes it")] | UnsetType
    ) = UNSET
    facts: Annotated[dict[str, object], Meta(description="What a condition rests on")] | UnsetType = UNSET


class PendingExplanation(Struct, frozen=True):
    """What a version says that doesn't decide yet. Only ``state`` is there where nothing is computed now, or
    where nothing is known of the user yet."""

    state: Annotated[State, Meta(description="How far the version is where the user's row is")]
    at: (
        Annotated[Instant, Meta(description="Up to when it is computed, which may be long ago")] | UnsetType
    ) = UNSET
    member: Annotated[bool, Meta(description="Whether the user would be in the audience")] | UnsetType = UNSET
    rule: ExplainedNode | UnsetType = UNSET


class Explanation(Answered, frozen=True):
    user_id: str
    project: str
    audience: str
    audience_name: str
    audience_version: Annotated[int, Meta(description="The version that decides")]
    at: Instant
    member: bool
    since: Instant | None
    exit_at: Instant | None
    rule: ExplainedNode
    history_from: Annotated[
        Instant | None,
        Meta(description="The latest `counts_from` of the rule's conditions; null: none has one"),
    ] = None
    pending_version: Annotated[
        int | None, Meta(description="A later version, whose past is being computed; null: there is none")
    ] = None
    pending: Annotated[PendingExplanation | None, Meta(description="What the pending version would say")] = (
        None
    )


class WorkerReadiness(Readiness, frozen=True, kw_only=True):
    """Partitions by number: those held, those whose rows are still being looked at for new definitions,
    and those with timers that are late."""

    partitions: list[int]
    of_partitions: int
    sweeping: list[int]
    pending: list[int]
    overdue: list[int]
    standbys: Annotated[
        dict[int, int],
        Meta(description="Other workers' partitions that are kept, with the records that each is behind"),
    ]
    engine: Annotated[Literal["native", "python"], Meta(description="What computes (`worker.engine`)")]
    engine_reason: Annotated[str, Meta(description="Why it is this engine")]
    audiences: int
    unreadable_definitions: dict[str, str]
