"""What requests to erase users are answered with (docs/http.md)."""

from __future__ import annotations

from msgspec import Struct

from app.http.answers import Instant


class ErasureAsked(Struct, frozen=True):
    """The request is in Kafka. ``id``: that of the receipt, which is there when the partition took it."""

    id: str
    project: str
    partition: int


class ErasurePlace(Struct, frozen=True):
    """A place where something of the user was. ``clean_at`` null: it can't be said, ``how`` says why."""

    place: str
    clean_at: Instant | None
    how: str


class ErasureShown(Struct, frozen=True):
    """The receipt: nothing else of the user stays. ``user`` is a pseudonym."""

    id: str
    project: str
    user: str
    partition: int
    erased_at: Instant
    requests: list[str]
    places: list[ErasurePlace]
