"""Sensors Data's records (https://manual.sensorsdata.cn/sa/latest, "data format"), single or as a list.

Fields that this module doesn't know become properties of an event. Operations on items concern no user:
they are right, and give no record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from agents.formats.fields import first_of, identity, object_of
from agents.formats.format import Item, Sent, items_of, kind_of, read_value
from agents.formats.records import InputRecord, as_id, native
from agents.formats.refused import RecordRefused
from rules.parse.problems import name_hint

EVENTS: Final = {
    "track": None,
    "track_signup": "$SignUp",
    "track_id_bind": "$BindID",
    "track_id_unbind": "$UnbindID",
}
"""With the name of the event where the record gives none."""
PROFILES: Final = {
    "profile_set": "set",
    "profile_set_once": "set_once",
    "profile_increment": "add",
    "profile_append": "append",
    "profile_unset": "unset",
    "profile_delete": "unset_all",
}
ITEMS: Final = ("item_set", "item_delete")
TYPES: Final = (*EVENTS, *PROFILES, *ITEMS)
IDS: Final = ("login_id", "anonymous_id", "original_id")
_READ: Final = frozenset(
    {"type", "distinct_id", "event", "time", "properties", "project", "_track_id", "identities", *IDS}
)
_OF_THE_TRANSPORT: Final = frozenset({"_flush_time", "recv_time", "time_free", "extractor", "token", "ver"})


class Sensors:
    """The format ``sensors``."""

    name = "sensors"
    reads_beside_value = False

    def read(self, value: bytes | None, sent: Sent) -> Sequence[Item]:
        return self.read_body(read_value(value), sent)

    def read_body(self, body: object, sent: Sent) -> Sequence[Item]:
        return items_of(body, _read)


def _read(said: dict[str, Any]) -> Sequence[InputRecord]:
    kind = said.get("type")
    if kind not in TYPES:
        shown = repr(kind)[:64]
        hint = name_hint(kind, TYPES) if isinstance(kind, str) else f"allowed: {', '.join(TYPES)}"
        raise RecordRefused("type", f"type {shown} is none of Sensors Data's: {hint}")
    if kind in ITEMS:
        return ()
    distinct_id = first_of(said, "distinct_id")
    if distinct_id is None:
        raise RecordRefused("user_id", "distinct_id is missing")
    fields: dict[str, Any] = {
        "user_id": distinct_id,
        "id": _record_id(said),
        "time": first_of(said, "time"),
        "project": first_of(said, "project") or "default",
    }
    if kind != "track_id_unbind" and (identities := _identities(said, distinct_id)):
        fields["identities"] = identities
    if kind in EVENTS:
        rest = {name: each for name, each in said.items() if name not in _READ | _OF_THE_TRANSPORT}
        fields |= {
            "event": first_of(said, "event") or EVENTS[kind],
            "properties": rest | object_of(said, "properties"),
        }
    else:
        fields |= {"type": "profile", PROFILES[kind]: _change(said, kind)}
    return (native(fields),)


def _record_id(said: dict[str, Any]) -> str | None:
    """``_track_id`` and the time, as a record has them that is sent again; the former alone is short."""
    track_id = as_id(said.get("_track_id"), "id")
    if not isinstance(track_id, str) or not track_id:
        return None
    return f"{track_id}-{as_id(said.get('time'), 'time')}"


def _identities(said: dict[str, Any], distinct_id: object) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in object_of(said, "identities").items():
        identity(found, name, value[-1] if isinstance(value, list) and value else value)
    for name in IDS:
        if said.get(name) != distinct_id:
            identity(found, name, said.get(name))
    return found


def _change(said: dict[str, Any], kind: str) -> object:
    """What the profile operation says, as the native field has it."""
    if kind == "profile_delete":
        return True
    properties = said.get("properties")
    if kind == "profile_unset" and isinstance(properties, list):
        return properties
    changed = object_of(said, "properties")
    if kind == "profile_unset":
        return list(changed)
    if kind == "profile_append":
        return {name: each if isinstance(each, list) else [each] for name, each in changed.items()}
    if kind == "profile_increment":
        for name, amount in changed.items():
            if isinstance(amount, bool) or not isinstance(amount, int | float):
                what = f"profile_increment of {name[:64]!r} must be a number, not `{kind_of(amount)}`"
                raise RecordRefused("invalid", what)
    return changed
