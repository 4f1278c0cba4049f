"""How these paths name a user: by ``entity_id``, otherwise by ``identity_id_map``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

from agents.formats.records import MAX_NAME_CHARS
from app.http.answers import ProblemError
from app.http.users import UserRef

USER: Final = "user"
DISTINCT_ID: Final = "distinct_id"
_LEAST, _MOST = -(2**63), 2**63 - 1


class EntityId(Struct, frozen=True):
    """A user's id: one of the two."""

    int_value: int | str | None = None
    string_value: str | None = None


class Entity(Struct, frozen=True):
    """A user."""

    entity_name: Annotated[str, Meta(description="`user`: there are no other entities")] = USER
    entity_id: EntityId | None = None
    identity_id_map: (
        Annotated[
            dict[str, int | str],
            Meta(description="Identities of the user, by namespace: the first one that is known counts"),
        ]
        | None
    ) = None


class EntityWrong(Exception):
    """It names no user. ``error`` says why."""

    def __init__(self, error: ProblemError) -> None:
        super().__init__(error.message)
        self.error = error


def users_of(entity: Entity, path: str, *, distinct_is_user_id: bool) -> list[UserRef]:
    """The ways in which the entity, found at ``path``, names one user: the first that is known counts.

    ``distinct_is_user_id``: records name users by ``distinct_id``, so that it is the user id itself. Raises
    EntityWrong.
    """
    if entity.entity_name != USER:
        raise _wrong(f"{path}.entity_name", f"there is no entity {entity.entity_name!r}", "write user")
    given = entity.entity_id
    if given is not None and (given.int_value is not None or given.string_value is not None):
        return [UserRef(_user_id(given, f"{path}.entity_id"))]
    identities = entity.identity_id_map
    if not identities:
        hint = "give entity_id (int_value or string_value), or identity_id_map"
        raise _wrong(path, "the entity has no id", hint)
    return list(_identities(identities, f"{path}.identity_id_map", distinct_is_user_id))


def _identities(identities: Mapping[str, int | str], path: str, distinct_is_user_id: bool) -> list[UserRef]:
    if distinct_is_user_id and DISTINCT_ID in identities:
        # It is no identity that anybody claims: nothing else need be asked.
        return [UserRef(_name(identities[DISTINCT_ID], f"{path}.{DISTINCT_ID}"))]
    return [
        UserRef(identity=(_name(namespace, path), _name(value, f"{path}.{namespace}")))
        for namespace, value in identities.items()
    ]


def _user_id(given: EntityId, path: str) -> str:
    if given.int_value is None:
        return _name(given.string_value, f"{path}.string_value")
    number = _whole(given.int_value)
    if number is None:
        raise _wrong(f"{path}.int_value", f"{given.int_value!r} isn't a whole number of 64 bits", "")
    if given.string_value not in (None, str(number)):
        raise _wrong(path, "int_value and string_value name different users", "give one of them")
    return str(number)


def _whole(value: int | str) -> int | None:
    """A number of 64 bits, as JSON writes it or as its text, which is what protobuf's JSON does."""
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            return None
        value = int(value)
    return value if _LEAST <= value <= _MOST else None


def _name(value: object, path: str) -> str:
    text = str(value)
    if not 0 < len(text) <= MAX_NAME_CHARS or "\0" in text:
        raise _wrong(path, f"must have 1 to {MAX_NAME_CHARS} characters, none of them NUL", "")
    return text


def _wrong(path: str, message: str, hint: str) -> EntityWrong:
    return EntityWrong(ProblemError("invalid_value", path, message, hint))
