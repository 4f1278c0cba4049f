"""The body of ``POST /v1/lookup``: read whole, with everything that is wrong told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from agents.formats.records import MAX_NAME_CHARS
from app.http.answers import ProblemError
from app.http.problems import HttpProblem
from app.http.routes import Body
from app.http.users import UserRef, UserUnreadable, user_of_json
from app.lookup.model import (
    ALL_COUNT,
    DEADLINE_MS,
    MOST_DEADLINE_MS,
    MOST_HINTS,
    MOST_PAIRS,
    MOST_USERS,
    LookupRequest,
)
from app.lookup.positions import MOST_POSITION_CHARS, WRITTEN, PositionUnreadable, positions_of
from rules.compile.rule_set import RuleSet
from rules.parse.problems import name_hint

TITLE: Final = "Not a lookup"


class NamedUser(Struct, frozen=True):
    """A user, named by one of the two."""

    user_id: (
        Annotated[str | int, Meta(description="A whole number stands for its decimal digits")] | UnsetType
    ) = UNSET
    identity: (
        Annotated[dict[str, str], Meta(description="One namespace with its value", max_length=1)] | UnsetType
    ) = UNSET


class LookupAsked(Struct, frozen=True):
    """Which users are in which audiences."""

    users: Annotated[list[NamedUser], Meta(min_length=1, max_length=MOST_USERS)]
    audiences: (
        Annotated[list[str], Meta(description="Ids; absent: all that the user is in", min_length=1)]
        | UnsetType
    ) = UNSET
    deadline_ms: Annotated[
        int,
        Meta(
            description="After so long users whose owner hasn't answered are `unavailable`",
            ge=1,
            le=MOST_DEADLINE_MS,
        ),
    ] = DEADLINE_MS
    min_position: (
        Annotated[str, Meta(description=f"A reader answers only when it has come as far: {WRITTEN}")]
        | UnsetType
    ) = UNSET
    attributes: (
        Annotated[
            list[str] | bool,
            Meta(description="Names of attributes that are told of each user, too; true: all of them"),
        ]
        | UnsetType
    ) = UNSET


class _PlainUser(Struct, forbid_unknown_fields=True, gc=False):
    user_id: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]


class _Plain(Struct, forbid_unknown_fields=True):
    """What most bodies are: read without looking for all that may be wrong."""

    users: Annotated[list[_PlainUser], Meta(min_length=1, max_length=MOST_USERS)]
    audiences: (
        Annotated[list[Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]], Meta(min_length=1)]
        | None
    ) = None
    deadline_ms: Annotated[int, Meta(ge=1, le=MOST_DEADLINE_MS)] = DEADLINE_MS


_decode_plain: Final = msgspec.json.Decoder(_Plain).decode
_NUL: Final = b"\\u0000"
FIELDS: Final = tuple(each.name for each in msgspec.structs.fields(LookupAsked))


class LookupBody(Body):
    """Reads a ``LookupRequest``."""

    type = LookupAsked

    def __init__(self) -> None:
        super().__init__("application/json")

    async def of(self, request: web.Request, project: str, rules: RuleSet | None) -> LookupRequest:
        """Raises HttpProblem: 404 if only audiences are wrong that ``rules`` don't have, otherwise 400.

        ``rules`` None: whoever sent the request has looked at the audiences.
        """
        try:
            document = msgspec.json.decode(await self.read(request) or b"{}")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise HttpProblem(400, TITLE, str(error)) from None
        reading = _Reading(document if isinstance(document, Mapping) else {})
        if not isinstance(document, Mapping):
            reading.wrong("$", "a lookup is an object", f"fields: {', '.join(FIELDS)}")
        asked = reading.asked(project)
        unknown = [] if rules is None else list(_unknown(rules, asked))
        pairs = len(asked.users) * (_audiences(rules, asked) + _attributes(asked))
        if pairs > MOST_PAIRS:
            hint = f"at most {MOST_PAIRS:,}: ask for fewer users at once, or name fewer audiences"
            of = "an audience" if asked.attributes is None else "an audience or attribute"
            if asked.attributes is not None:
                hint += f" and attributes; all attributes of a user count as {ALL_COUNT}"
            reading.wrong("$", f"{pairs:,} pairs of a user and {of} are asked for", hint)
        if reading.errors:
            errors = [*reading.errors, *unknown]
            raise HttpProblem(400, TITLE, _told(errors), errors=errors)
        if unknown:
            raise HttpProblem(404, "No such audience", _told(unknown), errors=unknown)
        return asked


def plain_lookup(body: bytes, project: str, rules: RuleSet) -> tuple[list[str], LookupRequest] | None:
    """The ids of the users and the other fields of the request, of a body without anything unusual or wrong.

    None: ``LookupBody`` must read it.
    """
    try:
        plain = _decode_plain(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    audiences = None if plain.audiences is None else tuple(dict.fromkeys(plain.audiences))
    asked = LookupRequest(project, (), audiences, deadline_ms=plain.deadline_ms)
    known = rules.project(project)
    if _NUL in body or any(known.by_id(each) is None for each in audiences or ()):
        return None
    if len(plain.users) * _audiences(rules, asked) > MOST_PAIRS:
        return None
    return [each.user_id for each in plain.users], asked


def _unknown(rules: RuleSet, asked: LookupRequest) -> Iterator[ProblemError]:
    known = rules.project(asked.project)
    ids = [audience.id for audience in known.audiences]
    hints = 0
    for number, each in enumerate(asked.audiences or ()):
        if known.by_id(each) is None:
            hint = name_hint(each, ids) if hints < MOST_HINTS else ""
            hints += 1
            text = f"project {asked.project!r} has no audience {each!r}"
            yield ProblemError("unknown_audience", f"audiences[{number}]", text, hint)


def _audiences(rules: RuleSet | None, asked: LookupRequest) -> int:
    """How many audiences are asked for; of all as many as there are."""
    if asked.audiences is not None:
        return len(asked.audiences)
    return 1 if rules is None else len(rules.project(asked.project).audiences)


def _attributes(asked: LookupRequest) -> int:
    return 0 if asked.attributes is None else len(asked.attributes) or ALL_COUNT


def _told(errors: list[ProblemError]) -> str:
    first = f"{errors[0].path}: {errors[0].message}"
    return first if len(errors) == 1 else f"{first}; and {len(errors) - 1} more, see errors"


@dataclass(slots=True)
class _Reading:
    """A document, and what is wrong with it."""

    document: Mapping[str, Any]
    errors: list[ProblemError] = field(default_factory=list)

    def wrong(self, path: str, message: str, hint: str = "", code: str = "invalid_value") -> None:
        self.errors.append(ProblemError(code, path, message, hint))

    def asked(self, project: str) -> LookupRequest:
        for name in self.document:
            if name not in FIELDS:
                self.wrong(name, "no such field", name_hint(name, FIELDS), "unknown_field")
        return LookupRequest(
            project,
            self._users(),
            self._audiences(),
            deadline_ms=self._deadline_ms(),
            min_position=self._min_position(),
            attributes=self._attributes(),
        )

    def _users(self) -> tuple[UserRef, ...]:
        given = self.document.get("users")
        if not isinstance(given, list) or not 0 < len(given) <= MOST_USERS:
            has = f", not {len(given):,}" if isinstance(given, list) else ""
            self.wrong("users", f"users is a list of 1 to {MOST_USERS:,} users{has}")
            return ()
        users: list[UserRef] = []
        for number, each in enumerate(given):
            try:
                users.append(user_of_json(each, f"users[{number}]"))
            except UserUnreadable as unreadable:
                self.errors += unreadable.errors
        return tuple(users)

    def _audiences(self) -> tuple[str, ...] | None:
        given = self.document.get("audiences")
        if given is None:
            return None
        if not isinstance(given, list) or not given:
            self.wrong("audiences", "audiences is a list of ids", "leave it out to ask for all")
            return ()
        for number, each in enumerate(given):
            if not isinstance(each, str) or not 0 < len(each) <= MAX_NAME_CHARS:
                self.wrong(f"audiences[{number}]", f"an id is a text of 1 to {MAX_NAME_CHARS} characters")
        return tuple(dict.fromkeys(each for each in given if isinstance(each, str)))

    def _deadline_ms(self) -> int:
        given = self.document.get("deadline_ms", DEADLINE_MS)
        if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MOST_DEADLINE_MS:
            self.wrong("deadline_ms", f"deadline_ms is a whole number, 1 to {MOST_DEADLINE_MS:,}")
            return DEADLINE_MS
        return given

    def _attributes(self) -> tuple[str, ...] | None:
        given = self.document.get("attributes")
        if given is None or given is False:
            return None
        if given is True:
            return ()
        if not isinstance(given, list) or not given:
            self.wrong("attributes", "attributes is a list of names, or true for all of them")
            return None
        for number, each in enumerate(given):
            if not isinstance(each, str) or not 0 < len(each) <= MAX_NAME_CHARS:
                text = f"the name of an attribute is a text of 1 to {MAX_NAME_CHARS} characters"
                self.wrong(f"attributes[{number}]", text)
        return tuple(dict.fromkeys(each for each in given if isinstance(each, str)))

    def _min_position(self) -> str | None:
        given = self.document.get("min_position")
        if given is None:
            return None
        try:
            positions_of(given if isinstance(given, str) and len(given) <= MOST_POSITION_CHARS else "")
        except PositionUnreadable as unreadable:
            self.wrong("min_position", str(unreadable))
            return None
        return str(given)
