"""Who is in an audience, page by page, and how many: over all partitions, whichever workers have them.

Pages go through the partitions by number, and through each in the order of the row keys. So a cursor, which
names a partition and a row key, means the same on every worker, whoever has the partition now. What another
worker has is fetched from it; asked in this way a worker answers from its own partitions alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web
from msgspec import UNSET

from agents.evaluate.evaluator import Answer
from agents.evaluate.members import TooManyDue, is_settled, members_after, sizes_at
from app.http.answers import JSON_LINES, Json, JsonLines, ProblemDetails
from app.http.forwarding import Fetched, Forwarding, moved
from app.http.problems import HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.routes import Query, Route
from app.worker.answers import (
    AudienceSize,
    HeldSizes,
    MembersPage,
    PageMember,
    PartitionSizes,
    told_by,
    told_of,
)
from app.worker.askable import Asked
from app.worker.asked import audience_of, not_ready, require_ready
from app.worker.cursor import Cursor
from rules.compile.audience import CompiledAudience
from rules.time.instants import format_instant

LIMIT = 100
MOST_MEMBERS = 1_000
"""Of one page: so many rows are read and decided within one turn of the event loop."""
MOST_HOPS = 32
"""So many parts one page is put together from; with more partitions without members it is short."""
AFTER = Query("after", "`next` of the page before")
MEMBERS = Query("limit", f"Members of a page, at most {MOST_MEMBERS}", default=str(LIMIT))
FORMAT = Query("format", f"`json`, or `jsonl`: a line for each member, as with `Accept: {JSON_LINES}`")
AT_HEADER = "turnstile-at"
"""The page's instant, where the body has no room for it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request for a page asks for."""

    project: str
    audience: CompiledAudience
    limit: int


@dataclass(frozen=True, slots=True)
class _Part:
    """Members of some partitions; ``next`` None: there are no further ones."""

    members: list[PageMember]
    at: str
    next: Cursor | None
    behind_ms: int | None = None
    """How far a reader is behind, where one has told some of it."""
    records_as_of: str | None = None
    """Of the part whose records are the oldest; None: all of them count up to ``at``."""


class AudienceMembers:
    """Pages and sizes; ``forwarding`` fetches what others have."""

    def __init__(self, worker: Asked, forwarding: Forwarding) -> None:
        self._worker = worker
        self._forwarding = forwarding

    def routes(self) -> list[Route]:
        audience = "/v1/audiences/{audience:[^/]+}"
        return [
            Route(
                "GET",
                audience + "/members",
                self._members,
                "lookup",
                "The members of an audience, page by page",
                query=(AFTER, MEMBERS, FORMAT, PROJECT),
                problems=(404, 409),
            ),
            Route(
                "GET",
                audience + "/size",
                self._size,
                "lookup",
                "How many members an audience has",
                also=("audiences",),
                query=(PROJECT,),
                problems=(404, 409),
            ),
            Route(
                "GET",
                "/v1/partitions/sizes",
                self._held,
                "lookup",
                "How many members the audiences have in the partitions that the worker holds",
                also=("audiences",),
                query=(PROJECT,),
            ),
        ]

    # -- pages ---------------------------------------------------------------------------------------

    async def _members(self, request: web.Request) -> Json[MembersPage] | JsonLines:
        project = project_of(request)
        _, audience = audience_of(self._worker.evaluator.rules, project, request.match_info["audience"])
        asked = _Asked(project, audience, limit_of(MEMBERS, request))
        page = await self._page(request, asked, self._begin(request))
        following = None if page.next is None else page.next.text
        answer: Json[MembersPage] | JsonLines
        if _wants_lines(request):
            answer = JsonLines(page.members)
            answer.headers[AT_HEADER] = page.at
        else:
            told = told_by(page.behind_ms)
            if page.records_as_of is not None:
                told["records_as_of"] = page.records_as_of
            answer = Json(MembersPage(audience.id, project, page.at, page.members, following, **told))
        if following is not None:
            query = urlencode({**request.query, AFTER.name: following})
            answer.headers["Link"] = f'<{request.rel_url.raw_path}?{query}>; rel="next"'
        return answer

    def _begin(self, request: web.Request) -> Cursor:
        """Raises HttpProblem for what no page has given."""
        text = AFTER.of(request)
        return Cursor() if text is None else Cursor.of(text, self._worker.partitions)

    async def _page(self, request: web.Request, asked: _Asked, begin: Cursor) -> _Part:
        """What fits into a page that begins there. Raises HttpProblem where its begin can't be asked."""
        members: list[PageMember] = []
        instants: list[str] = []
        behind: list[int] = []
        records: list[str] = []
        at: Cursor | None = begin
        for _ in range(MOST_HOPS):
            if at is None or len(members) >= asked.limit:
                break
            try:
                part = await self._part(request, asked, at, asked.limit - len(members))
            except HttpProblem:
                if at == begin:
                    raise
                break  # the next page's request is told
            members += part.members
            instants.append(part.at)
            behind += [] if part.behind_ms is None else [part.behind_ms]
            records += [] if part.records_as_of is None else [part.records_as_of]
            at = part.next
        return _Part(members, min(instants), at, max(behind, default=None), min(records, default=None))

    async def _part(self, request: web.Request, asked: _Asked, at: Cursor, limit: int) -> _Part:
        answer = self._worker.evaluator.answer_of(at.partition)
        if answer is not None:
            return self._held_part(asked, answer, at, limit)
        url = self._forwarding.other(request, at.partition)
        if url is None:
            raise moved([at.partition])
        query = {
            AFTER.name: at.text,
            MEMBERS.name: str(limit),
            FORMAT.name: "json",
            PROJECT.name: asked.project,
        }
        path = f"/v1/audiences/{quote(asked.audience.id, safe='')}/members?{urlencode(query)}"
        page = decoded(await self._forwarding.get(request, url, path), MembersPage)
        following = None if page.next is None else Cursor.of(page.next, self._worker.partitions)
        behind_ms = None if page.behind_ms is UNSET else page.behind_ms
        records_as_of = None if page.records_as_of is UNSET else page.records_as_of
        return _Part(page.members, page.at, following, behind_ms, records_as_of)

    def _held_part(self, asked: _Asked, answer: Answer, at: Cursor, limit: int) -> _Part:
        pipeline = answer.pipeline
        deciding = require_ready(self._worker, pipeline.rules, asked.audience)
        if not is_settled(pipeline, deciding):
            raise not_ready(deciding.id)
        try:
            page = members_after(pipeline, deciding, at.after, limit, answer.at_ms)
        except TooManyDue as many:
            raise HttpProblem(503, "Not available now", f"partition {at.partition}: {many}") from None
        members = [
            PageMember(
                each.user_id,
                format_instant(each.since_ms),
                None if each.exit_ms is None else format_instant(each.exit_ms),
                each.version,
            )
            for each in page.members
        ]
        following = Cursor(at.partition, page.after) if page.after is not None else Cursor(at.partition + 1)
        is_end = following.partition >= self._worker.partitions
        told = told_of(answer)
        beyond = None if is_end else following
        at_text = format_instant(page.at_ms)
        return _Part(members, at_text, beyond, answer.behind_ms, told.get("records_as_of"))

    # -- sizes ---------------------------------------------------------------------------------------

    async def _size(self, request: web.Request) -> Json[AudienceSize]:
        project = project_of(request)
        rules = self._worker.evaluator.rules
        _, audience = audience_of(rules, project, request.match_info["audience"])
        require_ready(self._worker, rules, audience)
        parts = await self.sizes(request, project)
        if any(audience.id in each.unsettled for each in parts.values()):
            raise not_ready(audience.id)
        members = sum(each.sizes.get(audience.id, 0) for each in parts.values())
        at = min(each.at for each in parts.values())
        behind = [each.behind_ms for each in parts.values() if each.behind_ms is not UNSET]
        told = told_by(max(behind, default=None))
        records = [each.records_as_of for each in parts.values() if each.records_as_of is not UNSET]
        if records:
            told["records_as_of"] = min(records)
        return Json(AudienceSize(audience.id, project, at, members, **told))

    async def _held(self, request: web.Request) -> Json[HeldSizes]:
        return Json(HeldSizes(self._held_sizes(project_of(request))))

    async def sizes(self, request: web.Request, project: str) -> dict[int, PartitionSizes]:
        """How many members the audiences of a project have in each partition of the table.

        Raises HttpProblem that names the partitions which can't be asked now.
        """
        found = self._held_sizes(project)
        wanted = [each for each in range(self._worker.partitions) if each not in found]
        urls = {self._forwarding.other(request, each) for each in wanted} - {None}
        path = f"/v1/partitions/sizes?{urlencode({PROJECT.name: project})}"
        answers = await asyncio.gather(
            *(self._forwarding.get(request, url, path) for url in urls if url is not None),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, HttpProblem):
                continue  # its partitions are missing
            if isinstance(answer, BaseException):
                raise answer
            found |= decoded(answer, HeldSizes).partitions
        missing = [each for each in wanted if each not in found]
        if missing or not found:
            raise moved(missing)
        return found

    def _held_sizes(self, project: str) -> dict[int, PartitionSizes]:
        evaluator = self._worker.evaluator
        latest = evaluator.rules.project(project).audiences
        found: dict[int, PartitionSizes] = {}
        for partition in sorted(evaluator.tasks):
            answer = evaluator.answer_of(partition)
            if answer is None:
                continue
            sizes, at_ms = sizes_at(answer.pipeline, answer.at_ms)
            deciding = answer.pipeline.rules.project(project).audiences
            named = {each.id: sizes[each.key] for each in deciding if sizes.get(each.key)}
            settled = {each.id for each in deciding if is_settled(answer.pipeline, each)}
            unsettled = [each.id for each in latest if each.id not in settled]
            found[partition] = PartitionSizes(format_instant(at_ms), named, unsettled, **told_of(answer))
        return found


def limit_of(of: Query, request: web.Request) -> int:
    """How much a page may have. Raises HttpProblem."""
    text = of.of(request) or ""
    if not text.isascii() or not text.isdigit() or not 0 < len(text) < 6 or not 0 < int(text) <= MOST_MEMBERS:
        raise HttpProblem(400, "Bad request", f"limit is 1 to {MOST_MEMBERS}, not {text!r}")
    return int(text)


def _wants_lines(request: web.Request) -> bool:
    """Raises HttpProblem for another format than those there are."""
    form = FORMAT.of(request)
    if form not in (None, "json", "jsonl"):
        raise HttpProblem(400, "Bad request", f"format is json or jsonl, not {form!r}")
    return form == "jsonl" or (form is None and JSON_LINES in request.headers.get("Accept", ""))


def decoded(answer: Fetched, kind: type[T]) -> T:
    """What another worker answered. Raises HttpProblem, the other's own where it answered with one."""
    try:
        if answer.status == 200:
            return msgspec.json.decode(answer.body, type=kind)
        problem = msgspec.json.decode(answer.body, type=ProblemDetails)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HttpProblem(503, "Not available now", f"another worker's answer is unusable: {error}") from None
    raise HttpProblem(problem.status, problem.title, problem.detail)
