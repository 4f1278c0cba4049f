"""From identities to user ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from app.lookup.held import Credentials

Identity: TypeAlias = tuple[str, str]
"""Namespace and value."""


class Resolution(Struct, frozen=True):
    """Whose an identity is."""

    user_id: str | None
    """None: nobody's."""
    as_of_ms: int | None = None
    """The instant that this is right at."""
    is_known: bool = True
    """False: who keeps the identity can't be asked now."""


class Resolver(Protocol):
    """Says whose identities are."""

    async def resolve(
        self,
        project: str,
        identities: Sequence[Identity],
        credentials: Credentials | None,
        seconds: float | None = None,
    ) -> list[Resolution]:
        """For each, in the order given.

        ``credentials`` None: only what is kept here is known. ``seconds``: after so long others are silent.
        """
        ...
