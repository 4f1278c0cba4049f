"""What ``POST /v1/lookup`` answers with."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, structs

from app.http.answers import Instant
from app.lookup.model import Membership, Status, Told, UserAnswer
from rules.time.instants import format_instant, parse_instant

RECORDS_AS_OF: Final = (
    "Records up to this instant count; later ones may be on their way. Not there: all up to the answer's own"
)


class MembershipShown(Struct, frozen=True):
    """Whether a user is in an audience; ``version`` is that of the definition which let the user in."""

    member: bool
    since: Instant | None
    exit_at: Instant | None
    version: int | UnsetType = UNSET


class UserLookedUp(Struct, frozen=True):
    """The answer for one user."""

    status: Annotated[
        Status,
        Meta(
            description="`unknown_user`: nothing is known of the user. `not_ready`: some audience is still "
            "being computed, and isn't in `memberships`. `unavailable`: who holds the user didn't answer"
        ),
    ]
    user_id: Annotated[str | None, Meta(description="null: nobody is known by the identity")]
    memberships: Annotated[
        dict[str, MembershipShown],
        Meta(description="By audience: those asked for; where all were, those that the user is in"),
    ]
    as_of: Annotated[
        Instant | None, Meta(description="The answer is right at this instant; null: there is none")
    ]
    reader: Annotated[bool, Meta(description="A reader answered, not the owner")] | UnsetType = UNSET
    behind_ms: Annotated[int, Meta(description="How far the reader is behind the owner")] | UnsetType = UNSET
    records_as_of: Annotated[Instant, Meta(description=RECORDS_AS_OF)] | UnsetType = UNSET
    resolved_as_of: (
        Annotated[Instant, Meta(description="Of an identity: claims up to this instant count")] | UnsetType
    ) = UNSET
    attributes: (
        Annotated[
            dict[str, object],
            Meta(
                description="Those that were asked for and that the user has; not there: none were asked for"
            ),
        ]
        | UnsetType
    ) = UNSET


class LookedUp(Struct, frozen=True):
    """The answers, in the order of the users that were asked for."""

    project: str
    users: list[UserLookedUp]


_decode = msgspec.json.Decoder(UserLookedUp).decode
_UNAVAILABLE: Final = b'{"status":"unavailable"'
_PASSING: Final = (_UNAVAILABLE, b'{"status":"not_ready"')


def is_passing(told: Told) -> bool:
    """Another answer may come soon."""
    if isinstance(told, Raw):
        return bytes(told).startswith(_PASSING)
    return told.status in ("unavailable", "not_ready")


def is_unavailable(told: Told) -> bool:
    if isinstance(told, Raw):
        return bytes(told).startswith(_UNAVAILABLE)
    return told.status == "unavailable"


def with_resolution(told: Told, resolved_ms: int | None) -> Told:
    """The answer for a user who was named by an identity; None: by the id, or the identity isn't resolved."""
    if resolved_ms is None:
        return told
    if isinstance(told, Raw):
        return Raw(b'%s,"resolved_as_of":"%s"}' % (bytes(told)[:-1], format_instant(resolved_ms).encode()))
    return structs.replace(told, resolved_ms=resolved_ms)


def as_shown(told: Told) -> UserLookedUp:
    return _decode(told) if isinstance(told, Raw) else user_shown(told)


def as_object(told: Told) -> UserAnswer:
    if not isinstance(told, Raw):
        return told
    shown = _decode(told)
    memberships = {
        audience: Membership(
            each.member, _ms(each.since), _ms(each.exit_at), None if each.version is UNSET else each.version
        )
        for audience, each in shown.memberships.items()
    }
    return UserAnswer(
        shown.status,
        shown.user_id,
        memberships,
        _ms(shown.as_of),
        shown.reader is True,
        None if shown.behind_ms is UNSET else shown.behind_ms,
        None if shown.records_as_of is UNSET else _ms(shown.records_as_of),
        None if shown.resolved_as_of is UNSET else _ms(shown.resolved_as_of),
        None if shown.attributes is UNSET else shown.attributes,
    )


def user_shown(answer: UserAnswer) -> UserLookedUp:
    return UserLookedUp(
        answer.status,
        answer.user_id,
        {audience: _membership_shown(each) for audience, each in answer.memberships.items()},
        _instant(answer.as_of_ms),
        answer.reader or UNSET,
        UNSET if answer.behind_ms is None else answer.behind_ms,
        UNSET if answer.records_ms is None else format_instant(answer.records_ms),
        UNSET if answer.resolved_ms is None else format_instant(answer.resolved_ms),
        UNSET if answer.attributes is None else answer.attributes,
    )


def _membership_shown(membership: Membership) -> MembershipShown:
    return MembershipShown(
        membership.member,
        _instant(membership.since_ms),
        _instant(membership.exit_at_ms),
        UNSET if membership.version is None else membership.version,
    )


def _instant(ms: int | None) -> str | None:
    return None if ms is None else format_instant(ms)


def _ms(instant: str | None) -> int | None:
    return None if instant is None else parse_instant(instant)
