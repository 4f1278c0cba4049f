"""What a lookup asks, and what it answers for each user. Instants are in ms since 1970, UTC."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Raw, Struct

from app.http.users import UserRef

MOST_USERS = 1_000
MOST_PAIRS = 10_000
"""Of users and audiences in one request."""
MOST_HINTS = 10
"""For so many unknown audiences of a request the nearest one is looked for: thousands would take long."""
ALL_COUNT = 100
"""All attributes of a user count as so many pairs."""
DEADLINE_MS = 2_000
"""How long an answer may take where the request doesn't say."""
MOST_DEADLINE_MS = 20_000

Status: TypeAlias = Literal["ok", "unknown_user", "not_ready", "unavailable"]
"""``unknown_user``: nothing is known of the user. ``not_ready``: who is in some audience is still being
computed where the user is. ``unavailable``: who holds the user didn't answer in time."""


class LookupRequest(Struct, frozen=True):
    """Which users are in which audiences."""

    project: str
    users: tuple[UserRef, ...]
    audiences: tuple[str, ...] | None = None
    """Ids; None: all that the user is in."""
    at_ms: int | None = None
    """Not before the instant of the answer; None: at that."""
    deadline_ms: int = DEADLINE_MS
    """After so long who hasn't answered is ``unavailable``."""
    min_position: str | None = None
    """Who answers has come as far (``app.lookup.positions``)."""
    attributes: tuple[str, ...] | None = None
    """Names of attributes that are told, too; empty: all; None: none."""


class Membership(Struct, frozen=True):
    """Whether a user is in an audience; the others are None for one who isn't."""

    member: bool
    since_ms: int | None = None
    exit_at_ms: int | None = None
    """When the user leaves if nothing more happens; None: time alone never ends it."""
    version: int | None = None
    """Of the definition that let the user in."""


class UserAnswer(Struct, frozen=True):
    """The answer for one user."""

    status: Status
    user_id: str | None = None
    """None: nobody is known by the identity."""
    memberships: dict[str, Membership] = {}
    """By id of the audience: those that were asked for and are ready; where all were, those that the user is
    in."""
    as_of_ms: int | None = None
    """The instant that it is right at; None: there is no answer."""
    reader: bool = False
    """A reader answered, not the owner."""
    behind_ms: int | None = None
    """How far a reader is behind the owner."""
    records_ms: int | None = None
    """Records up to this instant count; None: up to that of the answer."""
    resolved_ms: int | None = None
    """As of when the user of the identity is known; None: there is no identity, or who keeps it is silent."""
    attributes: dict[str, object] | None = None
    """Those that were asked for and that the user has; None: none were asked for, or nobody tells."""


Told: TypeAlias = UserAnswer | Raw
"""An answer as it comes: as an object, or as JSON (``app.lookup.answers.UserLookedUp``), which costs less."""
