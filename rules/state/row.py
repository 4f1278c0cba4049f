"""What is known of one user: the row that the rules read and change, and the transitions they make.

The structs are stored as msgpack arrays (``tables.codec``), so fields are only ever appended.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

Cause = Literal["event", "profile", "time", "definition", "backfill", "merge", "delete", "manual"]

State: TypeAlias = str | list[Any]
"""What a condition keeps of a user, as it is stored: a list of what its kind says, or a string of references
to times of the row (``rules.state.event_times``); some lists begin with such a string."""

NO_SLOT: Final = -1
"""In place of a slot of ``Row.times``."""

STUB: Final = -(1 << 62)
"""In place of ``Row.first``: the user was erased, and no record came since."""


class Membership(msgspec.Struct, array_like=True, gc=False):
    """One user and one audience. An odd ``seq`` means that the user is in (transitions alternate)."""

    seq: int
    """Number of transitions so far; the last one's ``seq``."""
    since_ms: int
    """Instant of the last transition, as ms after ``Row.base_ms``."""
    version: int
    """Version of the audience's definition that made it."""

    @property
    def inside(self) -> bool:
        """Whether the user is in the audience."""
        return self.seq % 2 == 1

    def turn(self, since_ms: int) -> None:
        """The user enters or leaves; ``since_ms`` is after ``Row.base_ms``."""
        self.seq += 1
        self.since_ms = since_ms


class Row(msgspec.Struct, array_like=True, gc=False):
    """One user; never part of a cycle."""

    now_ms: int
    """Instant of the user's last step."""
    timer_ms: int | None = None
    """No condition changes by time before this instant; the timer index has the user there. None: nothing by
    time."""
    applied: dict[int, int] = {}
    """Last applied offset per source partition (``tables.codec.source_key``)."""
    conditions: dict[int, Any] = {}
    """Per key of a condition its ``State``: only the condition knows of which type."""
    audiences: dict[int, Membership] = {}
    attributes: dict[str, object] = {}
    changed_ms: dict[str, int] = {}
    """Per attribute, the instant of its last change; an unset attribute keeps its entry."""
    identities: dict[str, str] = {}
    """By namespace; empty: it was taken back (``rules.state.identities``)."""
    seen: bytes = b""
    """Ids of the events applied recently (``rules.state.dedupe``)."""
    seen_at: list[int] = []
    """When they were applied."""
    changed_paths: dict[str, int] = {}
    """As ``changed_ms``, of the values deep in attributes (dotted names) whose changes a rule watches."""
    base_ms: int = 0
    """What event times and memberships count from."""
    times: list[int] = msgspec.field(default_factory=lambda: [0])
    """Event times that conditions name (``rules.state.event_times``)."""
    latest: int = 0
    """Which of ``times`` was added last."""
    used: int = 0
    """How many were in use when that was last looked at."""
    free: int = NO_SLOT
    """The first that is free; ``NO_SLOT``: none is."""
    epoch: int = 0
    """The rules epoch of the partition (``tables.cut``) when the row was last written: while a partition
    grafts, rows of an earlier one are still to be grafted."""
    first: int | None = None
    """Instant of the user's first record, as ms after ``base_ms``; None: the row was begun by a program that
    didn't note it."""

    @property
    def first_ms(self) -> int | None:
        """Instant of the user's first record; None: not known."""
        return None if self.first is None or self.first == STUB else self.base_ms + self.first

    @property
    def is_stub(self) -> bool:
        """Whether it is what stays of a user who was erased: whoever asks is told that nobody is known."""
        return self.first == STUB

    def begin_again(self, now_ms: int, epoch: int) -> None:
        """The first record of a user who was erased comes: from nothing, but with the ``seq`` that was."""
        self.now_ms = now_ms
        self.first = now_ms - self.base_ms
        self.epoch = epoch

    def become(self, other: Row) -> None:
        """Take another row's place, for all who have this one."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(other, name))

    def since_ms(self, membership: Membership) -> int:
        """Instant of a membership's last transition."""
        return self.base_ms + membership.since_ms

    def is_in(self, key: int) -> bool:
        """Whether the user is in the audience with this key."""
        membership = self.audiences.get(key)
        return membership is not None and membership.inside

    def with_own_memberships(self) -> Row:
        """A copy whose memberships may change without this row's; all else is shared."""
        memberships = {key: replace(each) for key, each in self.audiences.items()}
        return replace(self, audiences=memberships)

    def turn(self, key: int, version: int, at_ms: int) -> Membership:
        """The user enters or leaves an audience at an instant; ``version`` is its definition's."""
        membership = self.audiences.get(key)
        if membership is None:
            membership = self.audiences[key] = Membership(0, 0, version)
        membership.turn(at_ms - self.base_ms)
        membership.version = version
        return membership

    def count(self, key: int, at_ms: int) -> int:
        """One more event goes to a destination with this key: its number. It is kept as a membership of
        nobody's: ``seq`` is even between two events, so the user is never in."""
        self.turn(key, 0, at_ms)
        return self.turn(key, 0, at_ms).seq // 2


class Trigger(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The record that caused a transition."""

    event: str | None
    id: str | None
    time_ms: int
    properties: bytes = b""
    """The event's, as JSON, for those who write to users about it; empty where they are large."""


class Transition(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One user entering (odd ``seq``) or leaving (even) one audience, at an instant (section 9); with a
    ``destination`` one event on its way there (``rules.decide.send``)."""

    project: str
    audience: str
    audience_name: str
    audience_version: int
    user_id: str
    seq: int
    at_ms: int
    cause: str
    trigger: Trigger | None
    entered_at_ms: int
    """When the stay began. On an enter it is ``at_ms``, or before it where the history says so."""
    exit_at_ms: int | None
    """On an enter: when the user leaves if nothing more happens; None: never by time alone."""
    entered_at_is_bound: bool = False
    """The stay began at ``entered_at_ms`` or before: no more of its history was computed."""
    destination: str = ""
    """Whose event it is: ``seq`` counts those of this user and destination, and ``audience`` may be empty.
    Empty: it is a transition."""

    @property
    def is_enter(self) -> bool:
        return self.seq % 2 == 1 and not self.destination

    @property
    def is_exit(self) -> bool:
        return self.seq % 2 == 0 and not self.destination
