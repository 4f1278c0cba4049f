"""Identities: what else a user is called, one value for each namespace (``email``); and claims of them.

A record that gives a user another identity than the row has *claims* it for the user. ``null`` takes the one
back that the row has. Who an identity belongs to is decided where all its claims come together
(``tables.identities``): a row knows nothing of other users.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from rules.state.row import Row

GONE: Final = ""
"""In a row, of an identity that was taken back: the history doesn't bring it again."""


class Claim(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """At ``time_ms`` a user says that an identity is the user's (``unset``: that it no longer is)."""

    project: str
    namespace: str
    value: str
    user_id: str
    time_ms: int
    """The instant at which the record was applied: for one user it never goes back."""
    unset: bool = False


def has_news(row: Row, said: Mapping[str, str | None] | None) -> bool:
    """Whether a record gives or takes identities otherwise than the row has them."""
    if not said:
        return False
    known = row.identities
    return any(value != "" and known.get(namespace) != (value or GONE) for namespace, value in said.items())


def take_identities(
    row: Row,
    said: Mapping[str, str | None] | None,
    project: str,
    user_id: str,
    now_ms: int,
    out: list[Claim],
) -> bool:
    """Take what a record says of identities into the row; whether the row changed.

    An empty text says nothing, because many programs write it where they know of no identity. A value that
    another one follows stays the user's, as a second device does, until somebody else claims it.
    """
    if not said or not has_news(row, said):
        return False
    known = row.identities
    for namespace, value in said.items():
        before = known.get(namespace)
        if value is None:
            known[namespace] = GONE
            if before:
                out.append(Claim(project, namespace, before, user_id, now_ms, True))
        elif value and value != before:
            known[namespace] = value
            out.append(Claim(project, namespace, value, user_id, now_ms))
    return True


def take_from_history(live: Row, shadow: Row, project: str, user_id: str, out: list[Claim]) -> bool:
    """Take the identities of which only the history knows into the live row; whether there are any.

    When the history gave them isn't known, so they are claimed as of the user's first record: whatever the
    live stream says of them is newer.
    """
    news = {
        namespace: value
        for namespace, value in shadow.identities.items()
        if value and namespace not in live.identities
    }
    live.identities |= news
    first_ms = live.first_ms if live.first_ms is not None else 0
    out += [Claim(project, namespace, value, user_id, first_ms) for namespace, value in news.items()]
    return bool(news)


def known_identities(row: Row) -> dict[str, str]:
    """The user's identities, by namespace."""
    return {namespace: value for namespace, value in row.identities.items() if value}
