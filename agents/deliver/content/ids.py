"""What a user is called in a message: the id of the type to send, and the identity to reach the user by."""

from __future__ import annotations

from dataclasses import dataclass

from agents.deliver.contract.delivery import UserFacts
from agents.deliver.definitions.destination import Destination


@dataclass(frozen=True, slots=True)
class Ids:
    """``reach`` None: the destination names no identity for that."""

    sent: str
    reach: str | None = None


class NoIdentity(Exception):
    """The user lacks an identity that the destination sends; ``name`` is its namespace."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the user has no identity '{name}'")
        self.name = name


def ids_of(destination: Destination, user_id: str, facts: UserFacts | None) -> Ids:
    """Raises NoIdentity."""

    def identity(name: str) -> str:
        known = facts.identities.get(name) if facts is not None else None
        if not known:
            raise NoIdentity(name)
        return known

    id_type, reach_by = destination.id_type, destination.reach_by
    sent = user_id if id_type == "user_id" else identity(id_type)
    return Ids(sent, None if reach_by is None else identity(reach_by))


def carried(destination: Destination) -> tuple[str, ...]:
    """Attributes and identities that bodies ``lytics`` and ``segment`` carry along."""
    reach_by = destination.reach_by
    if reach_by is None or reach_by in destination.attributes:
        return destination.attributes
    return (*destination.attributes, reach_by)
