"""``express-notify``: where a project's notices go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Annotated, Final, Protocol, TypeVar

from aiohttp import web
from aiokafka.errors import KafkaError
from msgspec import Meta, Struct

from agents.deliver.definitions.headers import header_faults
from agents.deliver.definitions.templates import names_in
from agents.deliver.definitions.urls import UrlTemplate, UrlWrong
from agents.deliver.secrets.masking import MASK
from agents.notices.addresses import (
    AUTH_TYPES,
    SEND_MODES,
    AuthHeader,
    NotifyAddress,
    NotifyAddresses,
)
from agents.registry.feed import Feed
from app.failures import CommandFailed
from app.http.answers import Json, ProblemError
from app.http.base import CALLER
from app.http.problems import Handler, HttpProblem
from app.http.routes import Body, JsonBody, Route
from app.publish.author import Author
from app.publish.notify import delete_address, set_address
from app.publish.topics import DefinitionTopics
from app.sensors.asked import HEADERS, project_of
from app.sensors.envelope import ROOT, Envelope, ErrorEnvelope, Nothing, answer
from app.sensors.rules import project_number
from app.settings.tree import Settings
from rules.parse.problems import name_hint

NOTIFY: Final = ROOT + "/express-notify"
CHANGE_SECONDS: Final = 45.0
SEEN_SECONDS: Final = 5.0
"""How long an answer waits until this process has read the change."""
MOST_HEADERS: Final = 32
MOST_CHARS: Final = 2_000
_TITLE: Final = "Not a notify address"

Choice = TypeVar("Choice", bound=str)


class NotifyConfig(Struct, frozen=True):
    """A notify address as it is set."""

    notify_id: Annotated[str, Meta(description="The caller's own name for it")]
    notify_address: Annotated[str, Meta(description="Where notices are sent by POST")]
    auth_type: Annotated[str, Meta(extra_json_schema={"enum": [*AUTH_TYPES]})]
    auth_configs: Annotated[list[AuthHeader], Meta(description="Headers of each notice, for API_KEY")] = []
    send_mode: Annotated[str, Meta(extra_json_schema={"enum": [*SEND_MODES]})] = SEND_MODES[0]


class SetNotify(Struct, frozen=True):
    """The project's one notify address."""

    notify_config: NotifyConfig


class NotifyShown(Struct, frozen=True):
    """A notify address as it is kept; the values of headers are never shown."""

    id: Annotated[int, Meta(description="How many addresses the project has had")]
    notify_id: str
    project_ref_id: Annotated[int, Meta(description="A number that stands for the project")]
    notify_address: str
    auth_type: str
    auth_configs: list[AuthHeader]
    send_mode: str


class NotifySet(Struct, frozen=True):
    """null: the project has no notify address."""

    notify_config: NotifyShown | None


class Followed(Protocol):
    """What these paths need of a process."""

    settings: Settings
    notify: Feed[NotifyAddresses]


SET = JsonBody(SetNotify, _TITLE)
DELETE = Body("application/json")
"""Nothing in it is read."""


class NotifyRoutes:
    """Of one process."""

    def __init__(self, process: Followed) -> None:
        self._process = process
        self._topics = DefinitionTopics(process.settings)

    def routes(self) -> list[Route]:
        return [
            _route("POST", "/set", self._set, "Have the project's notices go to an address", SET),
            _route("GET", "/get", self._get, "Where the project's notices go"),
            _route("POST", "/delete", self._delete, "Have the project get no more notices", DELETE),
        ]

    async def _set(self, request: web.Request) -> Json[Envelope[Nothing]]:
        project = project_of(request)
        address = _checked((await SET.decoded(request)).notify_config)
        author = Author(request[CALLER].name, "http")
        try:
            number = (await set_address(self._topics, project, address, author)).number
            await self._seen(lambda known: known.numbers.get(project, 0) >= number)
        except (CommandFailed, KafkaError, TimeoutError) as error:
            raise _unavailable(error) from None
        return answer(request, Nothing())

    async def _get(self, request: web.Request) -> Json[Envelope[NotifySet]]:
        project = project_of(request)
        if not self._process.notify.loaded.is_set():
            raise HttpProblem(503, "Not available now", "the topic of notify addresses is not read yet")
        found = self._process.notify.registry.published.get(project)
        return answer(request, NotifySet(None if found is None else _shown(project, found)))

    async def _delete(self, request: web.Request) -> Json[Envelope[Nothing]]:
        project = project_of(request)
        await DELETE.read(request)
        author = Author(request[CALLER].name, "http")
        try:
            await delete_address(self._topics, project, author)
            await self._seen(lambda known: project not in known.published)
        except (CommandFailed, KafkaError, TimeoutError) as error:
            raise _unavailable(error) from None
        return answer(request, Nothing())

    async def _seen(self, is_read: Callable[[NotifyAddresses], bool]) -> None:
        """Wait until this process has read the change. Raises HttpProblem where that takes too long."""
        known = self._process.notify.registry
        deadline_s = asyncio.get_running_loop().time() + SEEN_SECONDS
        while not is_read(known):
            if asyncio.get_running_loop().time() > deadline_s:
                detail = f"{known.topic} has the change, but this process hasn't read it yet"
                raise HttpProblem(503, "Not available now", detail)
            await asyncio.sleep(0.02)


def _checked(config: NotifyConfig) -> NotifyAddress:
    """Raises HttpProblem with everything that is wrong."""
    errors = list(_faults(config))
    auth_type, send_mode = _chosen(AUTH_TYPES, config.auth_type), _chosen(SEND_MODES, config.send_mode)
    if auth_type is None:
        errors.append(_unknown("auth_type", config.auth_type, AUTH_TYPES))
    elif auth_type == "API_KEY" and not config.auth_configs:
        errors.append(_wrong("auth_configs", "API_KEY needs at least one header in auth_configs"))
    elif auth_type != "API_KEY" and config.auth_configs:
        errors.append(
            _wrong("auth_configs", f"{auth_type} sends no headers: leave auth_configs out, or use API_KEY")
        )
    if send_mode is None:
        errors.append(_unknown("send_mode", config.send_mode, SEND_MODES))
    if errors or auth_type is None or send_mode is None:
        raise HttpProblem(400, _TITLE, "; ".join(each.message for each in errors), errors=errors)
    return NotifyAddress(
        config.notify_id, config.notify_address, auth_type, send_mode, tuple(config.auth_configs)
    )


def _faults(config: NotifyConfig) -> Iterator[ProblemError]:
    if not 0 < len(config.notify_id) <= 64 or not config.notify_id.isprintable():
        yield _wrong("notify_id", "notify_id has 1 to 64 characters that can be printed")
    try:
        UrlTemplate.parse(config.notify_address)
    except UrlWrong as error:
        yield _wrong("notify_address", str(error))
    if "$" in config.notify_address:
        yield _wrong("notify_address", "'$' can't be in a notify address: write %24")
    if len(config.notify_address) > MOST_CHARS:
        yield _wrong("notify_address", f"a notify address has {MOST_CHARS} characters at most")
    if len(config.auth_configs) > MOST_HEADERS:
        yield _wrong("auth_configs", f"there may be {MOST_HEADERS} headers at most")
    for fault in header_faults((each.key, each.value) for each in config.auth_configs):
        yield _wrong("auth_configs", fault)
    for each in config.auth_configs:
        if each.key.lower() == "content-type":
            yield _wrong("auth_configs", "the header Content-Type is application/json")
        if len(each.value) > MOST_CHARS:
            yield _wrong("auth_configs", f"the header {each.key} has {MOST_CHARS} characters at most")
        if not _can_be_sent(each.value):
            yield _wrong("auth_configs", f"the header {each.key} can't hold half a surrogate pair")
        if names_in(each.value):
            yield _wrong(
                "auth_configs", f"the header {each.key} can't hold ${{name}}: there are no variables"
            )
        if each.value == MASK:
            yield _wrong(
                "auth_configs", f"the header {each.key} has the value that /get shows for every value"
            )


def _can_be_sent(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(project: str, address: NotifyAddress) -> NotifyShown:
    return NotifyShown(
        address.number,
        address.notify_id,
        project_number(project),
        address.url,
        address.auth_type,
        [AuthHeader(each.key, MASK) for each in address.headers],
        address.send_mode,
    )


def _chosen(choices: tuple[Choice, ...], given: str) -> Choice | None:
    return next((each for each in choices if each == given), None)


def _unknown(field: str, given: str, choices: tuple[str, ...]) -> ProblemError:
    return _wrong(field, f"{field} is {' or '.join(choices)}, not {given!r}", name_hint(given, choices))


def _wrong(field: str, message: str, hint: str = "") -> ProblemError:
    return ProblemError("invalid_value", f"$.notify_config.{field}", message, hint)


def _unavailable(error: BaseException) -> HttpProblem:
    return HttpProblem(503, "Not available now", str(error) or repr(error))


def _route(method: str, path: str, handler: Handler, summary: str, body: Body | None = None) -> Route:
    return Route(
        method,
        NOTIFY + path,
        handler,
        "destinations",
        summary,
        CHANGE_SECONDS,
        headers=HEADERS,
        body=body,
        problem=ErrorEnvelope,
    )
