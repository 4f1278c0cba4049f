"""How requests name a user: by id, or by an identity that the user has (docs/contracts.md, section 4)."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web
from msgspec import Struct

from agents.formats.records import MAX_NAME_CHARS
from app.http.answers import ProblemError
from app.http.problems import HttpProblem
from app.http.routes import Query
from rules.parse.problems import name_hint

INSTEAD = "-"
"""In a path, for a user that the query names."""
IDENTITY = "identity"
WAYS = ("user_id", IDENTITY)

USER_ID = Query(
    "user_id", "For users whose names proxies remove from a path, such as '..'; the path then has '-'"
)
BY = Query("by", "`identity`: the user is named as `namespace:value`, such as `email:ada@example.com`")


class UserRef(Struct, frozen=True):
    """A user: exactly one of the two is there."""

    user_id: str | None = None
    identity: tuple[str, str] | None = None
    """Namespace and value, such as ``("email", "ada@example.com")``."""


class UserUnreadable(ValueError):
    """A value doesn't name a user; ``errors`` say why."""

    def __init__(self, errors: list[ProblemError]) -> None:
        super().__init__("; ".join(f"{each.path}: {each.message}" for each in errors))
        self.errors = errors


def user_of_json(value: object, path: str) -> UserRef:
    """``{"user_id": "u1"}`` or ``{"identity": {"email": "a@b.c"}}``, found at ``path``.

    A ``user_id`` may be a whole number, as in records: its decimal digits are the id. Raises UserUnreadable
    with everything that is wrong.
    """
    if not isinstance(value, Mapping):
        raise _wrong(path, "a user is an object", 'write {"user_id": "u1"} or {"identity": {"email": "…"}}')
    unknown = [name for name in value if name not in WAYS]
    if unknown:
        raise UserUnreadable(
            [
                ProblemError("unknown_field", f"{path}.{name}", "no such field", name_hint(str(name), WAYS))
                for name in unknown
            ]
        )
    if len(value) != 1:
        raise _wrong(path, "a user is named by one of user_id and identity", f"give one, not {len(value)}")
    if "user_id" in value:
        return UserRef(_user_id(value["user_id"], f"{path}.user_id"))
    identity = value[IDENTITY]
    if not isinstance(identity, Mapping) or len(identity) != 1:
        raise _wrong(f"{path}.{IDENTITY}", "an identity is an object with one field", '{"email": "a@b.c"}')
    ((namespace, name),) = identity.items()
    return UserRef(identity=_identity(namespace, name, f"{path}.{IDENTITY}"))


def user_of_path(request: web.Request) -> UserRef:
    """The user that the path names (``{user_id}``); in the place of ``-`` the one that the query names.

    A path can't carry every name through every client and proxy: ``.`` and ``..`` go out of it on the way.
    Raises HttpProblem for what no user can be named.
    """
    text, other = request.match_info["user_id"], USER_ID.of(request)
    if other is not None:
        if text not in (INSTEAD, other):
            detail = f"the path names user {text!r}, the query {other!r}: write {INSTEAD!r} in the path"
            raise HttpProblem(400, "Bad request", detail)
        text = other
    by = BY.of(request) or "user_id"
    if by not in WAYS:
        raise HttpProblem(400, "Bad request", f"by is user_id or identity, not {by!r}")
    try:
        if by == "user_id":
            return UserRef(_user_id(text, "user_id"))
        namespace, colon, value = text.partition(":")
        if not colon:
            detail = f"an identity is written namespace:value, such as email:ada@example.com, not {text!r}"
            raise HttpProblem(400, "Bad request", detail)
        return UserRef(identity=_identity(namespace, value, "user_id"))
    except UserUnreadable as wrong:
        raise HttpProblem(400, "Bad request", str(wrong)) from None


def target_for(request: web.Request, user_id: str) -> str | None:
    """Path and query that ask the same of a user by id; None: the request does so itself."""
    if BY.of(request) != IDENTITY:
        return None
    path = request.match_info.route.url_for(**{**request.match_info, "user_id": INSTEAD})
    query = {name: value for name, value in request.query.items() if name != BY.name}
    return path.with_query({**query, USER_ID.name: user_id}).raw_path_qs


def _user_id(value: object, path: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARS or "\0" in value:
        raise _wrong(path, f"a user id is a text of 1 to {MAX_NAME_CHARS} characters without NUL")
    return value


def _identity(namespace: object, value: object, path: str) -> tuple[str, str]:
    wrong = [
        ProblemError(
            "invalid_value",
            path,
            f"{what} of an identity is a text of 1 to {MAX_NAME_CHARS} characters without NUL",
            "",
        )
        for what, each in (("the namespace", namespace), ("the value", value))
        if not isinstance(each, str) or not 0 < len(each) <= MAX_NAME_CHARS or "\0" in each
    ]
    if wrong:
        raise UserUnreadable(wrong)
    return str(namespace), str(value)


def _wrong(path: str, message: str, hint: str = "") -> UserUnreadable:
    return UserUnreadable([ProblemError("invalid_value", path, message, hint)])
