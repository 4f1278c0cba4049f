"""What the fields of most formats have in common."""

from __future__ import annotations

from typing import Any

from agents.formats.format import kind_of
from agents.formats.records import as_id
from agents.formats.refused import RecordRefused


def first_of(fields: dict[str, Any], *names: str) -> Any:
    """The first of these fields that is there: not null, and not an empty text."""
    for name in names:
        value = fields.get(name)
        if value is not None and value != "":
            return value
    return None


def object_of(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """A field that holds an object; none, null and ``[]`` (as PHP writes an empty one) are empty.

    Raises RecordRefused.
    """
    value = fields.get(name)
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise RecordRefused("invalid", f"{name} must be an object, not `{kind_of(value)}`")
    return value


def identity(identities: dict[str, object], name: str, value: object) -> None:
    """Note an identity. One that is no text or number is left out: it never costs the event."""
    value = as_id(value, "identities")
    if isinstance(value, str) and value:
        identities[name] = value
