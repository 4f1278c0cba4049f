"""Segment's calls (https://segment.com/docs/connections/spec): track, identify, page, screen, group, alias.

One call, a list of calls, or what the HTTP API takes as ``batch``. Fields that this module doesn't know
become properties of an event, or attributes of an identify, so that an audience can ask for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from agents.formats.fields import first_of, identity, object_of
from agents.formats.format import Item, Sent, items_of, read_value
from agents.formats.records import InputRecord, native
from agents.formats.refused import RecordRefused
from rules.parse.problems import name_hint

TYPES: Final = ("track", "identify", "page", "screen", "group", "alias")
_READ: Final = frozenset({"type", "userId", "anonymousId", "messageId", "timestamp", "originalTimestamp"})
_OF_THE_TRANSPORT: Final = frozenset(
    {"sentAt", "receivedAt", "writeKey", "version", "integrations", "_metadata"}
)
_NO_PROPERTY: Final = _READ | _OF_THE_TRANSPORT | {"event", "properties"}
_NO_ATTRIBUTE: Final = _READ | _OF_THE_TRANSPORT | {"traits", "context", "channel"}


class Segment:
    """The format ``segment``."""

    name = "segment"
    reads_beside_value = False

    def read(self, value: bytes | None, sent: Sent) -> Sequence[Item]:
        return self.read_body(read_value(value), sent)

    def read_body(self, body: object, sent: Sent) -> Sequence[Item]:
        return items_of(body, _read, "batch")


def _read(call: dict[str, Any]) -> Sequence[InputRecord]:
    kind = call.get("type")
    if kind not in TYPES:
        shown = repr(kind)[:64]
        hint = name_hint(kind, TYPES) if isinstance(kind, str) else f"allowed: {', '.join(TYPES)}"
        raise RecordRefused("type", f"type {shown} is no call of Segment's: {hint}")
    user_id, anonymous_id = first_of(call, "userId"), first_of(call, "anonymousId")
    if user_id is None and anonymous_id is None:
        raise RecordRefused("user_id", "neither userId nor anonymousId is given")
    fields: dict[str, Any] = {
        "user_id": anonymous_id if user_id is None else user_id,
        "id": first_of(call, "messageId"),
        "time": first_of(call, "timestamp", "originalTimestamp"),
    }
    identities: dict[str, object] = {}
    if user_id is not None:
        identity(identities, "anonymous_id", anonymous_id)
    if kind == "alias":
        previous_id = first_of(call, "previousId")
        if previous_id is None:
            raise RecordRefused("invalid", "an alias needs previousId")
        identity(identities, "previous_id", previous_id)
    if identities:
        fields["identities"] = identities
    if kind in ("track", "page", "screen"):
        fields |= {"event": call.get("event") if kind == "track" else kind, "properties": _properties(call)}
    else:
        fields |= {"type": "profile", "set": _attributes(call, kind)}
    return (native(fields),)


def _properties(call: dict[str, Any]) -> dict[str, Any]:
    """Those of the call; what else it says stands beside them, unless they have a property of that name."""
    rest = {name: each for name, each in call.items() if name not in _NO_PROPERTY}
    return rest | object_of(call, "properties")


def _attributes(call: dict[str, Any], kind: str) -> dict[str, Any]:
    if kind == "identify":
        rest = {name: each for name, each in call.items() if name not in _NO_ATTRIBUTE}
        return rest | object_of(call, "traits")
    if kind == "alias":
        return {}
    group_id = first_of(call, "groupId")
    if group_id is None:
        raise RecordRefused("invalid", "a group call needs groupId")
    traits = object_of(call, "traits")
    return {"group_id": group_id} | ({"group": traits} if traits else {})
