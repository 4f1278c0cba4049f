"""The other bodies that destinations may ask for, as the contract has them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class SegmentBody(msgspec.Struct):
    """A `track` call of Segment. `properties` also have the audience's id as a name: true on an enter."""

    type: Literal["track"]
    event: Annotated[
        str, Meta(description="`Audience Entered` or `Audience Exited`; with `on: event` the event's name.")
    ]
    message_id: Annotated[str, Meta(description="`id` of the transition.")] = field(name="messageId")
    user_id: Annotated[str, Meta(description="The id of the destination's `id_type`.")] = field(name="userId")
    timestamp: Annotated[Instant, Meta(description="`at` of the transition; the event's time.")]
    properties: dict[str, object]
    context: Annotated[
        dict[str, object] | msgspec.UnsetType, Meta(description="`traits`: the destination's `attributes`.")
    ] = msgspec.UNSET


class LyticsEvent(msgspec.Struct):
    """One transition."""

    id: Annotated[str, Meta(description="Of the audience, as Lytics has one of a segment: always the same.")]
    event: Literal["enter", "exit"]
    enter: Annotated[Instant, Meta(description="`entered_at`, with nine digits.")]
    exit: Annotated[
        Instant, Meta(description="Of an exit `at`, of an enter `exit_at`, or 2099-12-31T23:59:59Z for null.")
    ]
    slug: Annotated[str, Meta(description="Id of the audience.")]


class LyticsData(msgspec.Struct):
    """The user, with the destination's `attributes` beside these fields."""

    created: Annotated[str, Meta(description="When the user became known.")] = field(name="_created")
    modified: Annotated[Instant, Meta(description="When the user's row changed last, or `at`.")] = field(
        name="_modified"
    )
    user_id: Annotated[str, Meta(description="The id of the destination's `id_type`.")]
    segment_events: Annotated[
        list[LyticsEvent], Meta(description="All transitions of the user at one instant.")
    ]


class LyticsMeta(msgspec.Struct):
    """What the message is about."""

    object: Literal["user"]
    subscription_id: Annotated[str, Meta(description="Of the destination: always the same.")]
    timestamp: Annotated[Instant, Meta(description="`at`, with nine digits.")]


class LyticsBody(msgspec.Struct):
    """A message of Lytics."""

    data: LyticsData
    meta: LyticsMeta
