"""One member of an audience as rows are made of it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Member(msgspec.Struct, gc=False):
    """A user who is in the audience at the list's instant; instants in ms.

    Identities that were taken back are absent. ``exit_at_ms``: when the user leaves if nothing more happens;
    None: by no time alone, or the content doesn't ask.
    """

    user_id: str
    identities: Mapping[str, str]
    """By namespace."""
    attributes: Mapping[str, object]
    since_ms: int
    """When the user entered."""
    exit_at_ms: int | None = None
