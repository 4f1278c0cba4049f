"""One message as a sink gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from agents.evaluate.transitions import TransitionBody


@dataclass(frozen=True, slots=True)
class UserFacts:
    """What a worker knows of a user: only looked up where the definition needs it."""

    attributes: Mapping[str, object]
    identities: Mapping[str, str]
    first: str | None = None
    """The instant of the user's first record; None: it isn't known."""
    changed: str | None = None
    """The instant at which the user's row changed last; None: it isn't known."""


class Delivery(msgspec.Struct, frozen=True, eq=False):
    """One message to send. Compared by identity.

    ``id`` is the same however often it is sent: the transition's, or a digest of the ids where ``lytics``
    puts several transitions of one user and instant into one message. ``body`` is that message in the
    destination's body format (JSON, UTF-8); ``id_sent`` the id of the type that is to be sent.
    """

    id: str
    user_id: str
    id_sent: str
    transitions: tuple[TransitionBody, ...]
    """One, but for ``lytics``, which may have several."""
    body: bytes
    partition: int
    """Of the transitions topic."""
    offset: int
    """Of the last of the transitions on its topic; -1: a current member from the backfill."""
    properties: Mapping[str, object] = {}
    """Properties of the event that caused it, where the worker wrote them."""
    user: UserFacts | None = None
    id_type: str = "user_id"
    """Of ``id_sent``."""
    reach_by: str | None = None
    """The identity by which the receiver is to reach the user, and its value."""
    reach_id: str | None = None

    @property
    def audience(self) -> str:
        """Id of the (first) transition's audience."""
        return self.transitions[0].audience
