"""Who changed what and when: records of ``<prefix>.audit``, and reading them.

Key: the project. Value: ``AuditRecord`` as JSON. Every change of a definition, a destination or an API key
writes one, whichever way it came. The topic has one partition and is kept by time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Final, Literal

import msgspec
from aiokafka import AIOKafkaConsumer
from msgspec import UNSET, Meta, UnsetType

from agents.registry.topic import everything_on
from agents.registry.unusable import Unusable, UnusableRecord, usable

EVERY_PROJECT: Final = "*"
"""The project of a change that concerns all of them."""

Via = Literal["http", "command"]
Kind = Literal["audience", "destination", "connection", "key", "notify", "push"]
Action = Literal[
    "created", "changed", "deleted", "restored", "rebuilt", "released", "taken_back", "rotated", "revoked"
]


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change."""

    at: Annotated[
        str, Meta(description="When, by the wall clock.", extra_json_schema={"format": "date-time"})
    ]
    by: Annotated[
        str,
        Meta(
            description="The name of the API key, or of the account that ran the command; empty where no key "
            "is asked for."
        ),
    ]
    via: Annotated[Via, Meta(description="Which way the change came.")]
    project: Annotated[str, Meta(description="`*` for all of them.")]
    kind: Annotated[Kind, Meta(description="What was changed.")]
    id: Annotated[
        str,
        Meta(
            description="Id of the audience; name of the destination, connection, push or key; `notify_id` "
            "of a notify address."
        ),
    ]
    action: Annotated[Action, Meta(description="What was done.")]
    version: Annotated[
        int | UnsetType, Meta(description="The version that the change made, or released.")
    ] = UNSET
    from_version: Annotated[int | UnsetType, Meta(description="The version whose definition came back.")] = (
        UNSET
    )


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AuditRecord).decode


def audit_topic(prefix: str) -> str:
    return f"{prefix}.audit"


def audit_record(change: AuditRecord) -> tuple[bytes, bytes]:
    """Key and value of the record that tells it."""
    return change.project.encode(), _encode(change)


async def read_audit(consumer: AIOKafkaConsumer, topic: str) -> AsyncIterator[AuditRecord | UnusableRecord]:
    """Every change that is still on the topic, the oldest first; what others wrote there is told as such."""
    async for record in everything_on(consumer, topic):
        try:
            yield usable(partial(_decode, record.value or b""))
        except Unusable as reason:
            yield UnusableRecord(topic, record.offset, record.key, str(reason))
