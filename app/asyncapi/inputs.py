"""Input records in the native format, for the contract: what the reader of records takes, field by field.

Only described here, never decoded with. Tests hold the fields against the reader's struct, and let the reader
take what the schemas allow.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(min_length=1, max_length=512)]
Project = Annotated[str, Meta(pattern="^[A-Za-z0-9_]{1,64}$")]
Empty = Annotated[list[object], Meta(max_length=0)]
"""As PHP writes an empty object."""
Id = Annotated[str, Meta(max_length=512)] | int
Identities = dict[Name, Id | None] | Empty
Attributes = dict[Name, object] | Empty

USER_ID = (
    "The user. Also the record's key, as the same bytes. 1 to 512 characters, no NUL; of a number its "
    "decimal digits."
)
ID = "Of the event: an id counts once per event name within `dedupe.window_ms`. At most 512 characters."
TIME = (
    "Event time: RFC 3339 with an offset, or a number (epoch seconds below 10^11, otherwise milliseconds). "
    "By default the record timestamp."
)
IDENTITIES = (
    "Other names of the user by namespace, such as `email`; lookups find the user by them. null takes back "
    "the one that the user has; an empty text says nothing."
)


class Track(msgspec.Struct):
    """An event."""

    user_id: Annotated[Name | int, Meta(description=USER_ID)]
    event: Annotated[Name, Meta(description="Name of the event: 1 to 512 characters.")]
    type: Annotated[Literal["track"], Meta(description="`track`.")] = "track"
    id: Annotated[Id | None, Meta(description=ID)] = None
    project: Annotated[Project, Meta(description="Project: 1 to 64 of `A-Z a-z 0-9 _`.")] = "default"
    time: Annotated[str | int | float | None, Meta(description=TIME)] = None
    properties: Annotated[
        dict[str, object] | Empty | None,
        Meta(description="What is known of the event: any JSON, nested up to 32 levels."),
    ] = None
    identities: Annotated[Identities | None, Meta(description=IDENTITIES)] = None


class Profile(msgspec.Struct):
    """A profile update. It needs one of the fields from `set` on."""

    user_id: Annotated[Name | int, Meta(description=USER_ID)]
    type: Annotated[Literal["profile"], Meta(description="`profile`.")]
    id: Annotated[Id | None, Meta(description="Of the update.")] = None
    project: Annotated[Project, Meta(description="Project: 1 to 64 of `A-Z a-z 0-9 _`.")] = "default"
    time: Annotated[str | int | float | None, Meta(description=TIME)] = None
    set: Annotated[
        Attributes | None,
        Meta(description="Attributes to set; an older update loses to a newer one."),
    ] = None
    set_once: Annotated[
        Attributes | None, Meta(description="Attributes to set that the user doesn't have yet.")
    ] = None
    unset: Annotated[list[Name] | None, Meta(description="Attributes to take away.")] = None
    add: Annotated[
        dict[Name, int | float] | Empty | None,
        Meta(description="Numbers to add to attributes; a missing one is 0."),
    ] = None
    append: Annotated[
        dict[Name, list[object]] | Empty | None,
        Meta(description="Elements to add to lists: each that the list doesn't have yet."),
    ] = None
    unset_all: Annotated[bool, Meta(description="Takes away every attribute.")] = False
    identities: Annotated[Identities | None, Meta(description=IDENTITIES)] = None


class Delete(msgspec.Struct):
    """The user is erased: leaves every audience, and nobody is known until a later record comes."""

    user_id: Annotated[Name | int, Meta(description=USER_ID)]
    type: Annotated[Literal["delete"], Meta(description="`delete`.")]
    id: Annotated[
        Id | None,
        Meta(
            description="Of the request: the receipt is found by it. By default topic, partition and offset."
        ),
    ] = None
    project: Annotated[Project, Meta(description="Project: 1 to 64 of `A-Z a-z 0-9 _`.")] = "default"
    time: Annotated[str | int | float | None, Meta(description=TIME)] = None
