"""What publishing and deleting a definition over HTTP have in common, whatever its kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Generic, TypeVar

from aiohttp import web
from msgspec import Struct

from agents.registry.audit import Kind
from agents.registry.definitions import Definition, DefinitionChange
from agents.registry.feed import Feed, read_up_to
from app.http.answers import Json
from app.http.if_match import ETAG, IF_MATCH_MAY, etag
from app.http.problems import Handler, HttpProblem
from app.http.routes import Body, Header, Query, Route
from app.publish.problems import errors_of, refusals
from rules.parse.problems import DefinitionsInvalid

CHANGE_SECONDS: Final = 45.0
READ_SECONDS: Final = 30.0
"""How long an answer waits until this process has read the change."""
DEFINITION_BYTES: Final = 128 * 1024
"""Of a definition: some YAML takes long to read, more than in proportion to its length."""
DEFINITION: Final = Body("application/json", "application/yaml", most_bytes=DEFINITION_BYTES)

Defined = TypeVar("Defined", bound=Definition)
Answered = TypeVar("Answered")


class PublishedVersion(Struct, frozen=True):
    """What came of a definition."""

    name: str
    action: str
    version: int


class DefinitionBody(Generic[Defined]):
    """The one definition in a request's body, read in a thread of its own, so that many don't take all the
    time. ``load`` gives the definitions in files (name, text)."""

    def __init__(self, kind: Kind, load: Callable[[Sequence[tuple[str, str]]], Sequence[Defined]]) -> None:
        self._title = f"Not a {kind}"
        self._load = load
        self._parsing = ThreadPoolExecutor(1, f"{kind}s")

    async def read(self, request: web.Request, project: str | None = None) -> Defined:
        """The one that the path, and the project, name. Raises HttpProblem with every error found."""
        name, body = request.match_info["name"], await DEFINITION.read(request)
        found = await asyncio.get_running_loop().run_in_executor(self._parsing, self._parsed, name, body)
        if (found.name, project or found.project) != (name, found.project):
            told = name if project is None else f"{project}/{name}"
            detail = f"the definition is of {found.key!r}, the request of {told!r}"
            raise HttpProblem(422, self._title, detail)
        return found

    def close(self) -> None:
        self._parsing.shutdown(wait=False, cancel_futures=True)

    def _parsed(self, name: str, body: bytes) -> Defined:
        try:
            (found,) = self._load([(f"{name}.yaml", body.decode())])
        except DefinitionsInvalid as invalid:
            raise HttpProblem(422, self._title, str(invalid), errors=errors_of(invalid.problems)) from None
        except (ValueError, RecursionError):
            raise HttpProblem(422, self._title, "the body must be one definition, UTF-8") from None
        return found


async def published_version(
    feed: Feed[Any], changes: Sequence[DefinitionChange[Any]]
) -> Json[PublishedVersion]:
    """The answer to what was published, once this process has read it. Raises HttpProblem."""
    (change,) = changes
    await seen(feed, changes)
    published = change.published
    told = PublishedVersion(published.definition.name, change.action, published.version)
    return with_etag(Json(told, 201 if change.action == "created" else 200), published.version)


async def seen(feed: Feed[Any], changes: Sequence[DefinitionChange[Any]]) -> None:
    """Wait until this process has read the changes. Raises HttpProblem."""
    with refusals():
        async with asyncio.timeout(READ_SECONDS):
            for each in changes:
                await read_up_to(feed, each.published)


def with_etag(answer: Json[Answered], version: int) -> Json[Answered]:
    """The answer, with its version for ``If-Match``."""
    answer.headers["ETag"] = etag(version)
    return answer


def changing_routes(
    path: str,
    put: Handler,
    delete: Handler,
    query: Sequence[Query] = (),
    *,
    put_is: str = "Publish a definition, YAML or JSON; 422 with every error found",
    put_problems: Sequence[int] = (412, 422),
    delete_is: str = "Delete it",
    delete_problems: Sequence[int] = (404, 412),
    deletes_if: Header = IF_MATCH_MAY,
) -> list[Route]:
    """PUT and DELETE of one definition."""
    return [
        Route(
            "PUT",
            path,
            put,
            "destinations",
            put_is,
            CHANGE_SECONDS,
            query=tuple(query),
            body=DEFINITION,
            statuses=(200, 201),
            problems=tuple(put_problems),
            headers=(IF_MATCH_MAY,),
            answer_headers=(ETAG,),
        ),
        Route(
            "DELETE",
            path,
            delete,
            "destinations",
            delete_is,
            CHANGE_SECONDS,
            query=tuple(query),
            statuses=(204,),
            problems=tuple(delete_problems),
            headers=(deletes_if,),
        ),
    ]
