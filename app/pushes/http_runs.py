"""HTTP on a process of pushes: runs, and what may be asked for with them."""

from __future__ import annotations

from typing import Final, Protocol
from urllib.parse import urlencode

from aiohttp import web
from aiokafka.errors import KafkaError

from agents.pushes.runs import Action as Asked
from agents.pushes.runs import Ledger, Request, Run, order_of, run_id
from agents.pushes.targets.confirmation import is_confirmation
from agents.registry.api_keys import Scope
from app.http.answers import Json
from app.http.base import CALLER
from app.http.problems import Handler, HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.routes import Body, JsonBody, Query, Route
from app.pushes.answers import AskedRun, Confirmation, RunStatus, RunStatuses, run_status
from app.pushes.targets import CONFIRMATIONS, callbacks_of
from app.pushes.topic import request_of
from app.settings.tree import Settings

CONFIRMATION: Final = JsonBody(Confirmation, "Not a confirmation")
MOST_RUNS: Final = 1_000
PUSH: Final = Query("push", "Runs of the push with this name alone")
AFTER: Final = Query("after", "`next` of the page before")
LIMIT: Final = Query("limit", f"Runs of a page, at most {MOST_RUNS}", default="100")
SCOPE: Final[Scope] = "destinations"


class ServedRuns(Protocol):
    """What it needs of a process."""

    settings: Settings

    def known_runs(self) -> Ledger: ...
    async def ask(self, request: Request) -> None: ...


class RunRoutes:
    """Runs of one process: any process answers, whichever leads."""

    def __init__(self, service: ServedRuns) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        runs, run = "/v1/push-runs", "/v1/push-runs/{run:[^/]+}"
        return [
            Route(
                "GET", runs, self._runs, SCOPE, "Runs, the latest first", query=(PROJECT, PUSH, AFTER, LIMIT)
            ),
            asks(run + ":repush", self._repush, "Push once more what a run pushed"),
            asks(run + ":cancel", self._cancel, "End a run that isn't over"),
            asks(run + ":confirm", self._confirm, "Its reader has the list", CONFIRMATION),
            Route("GET", run, self._one_run, SCOPE, "One run", query=(PROJECT,), problems=(404,)),
            Route(
                "POST",
                CONFIRMATIONS + "/{run:[^/]+}/{list:[^/]+}",
                self._confirm_by_token,
                None,
                "A module has the list: `Authorization: Bearer` with the token of its notification",
                statuses=(202,),
                problems=(401, 409),
            ),
        ]

    async def _runs(self, request: web.Request) -> Json[RunStatuses]:
        project, name, limit, after = project_of(request), PUSH.of(request), _limit(request), _after(request)
        ledger = self._service.known_runs()
        runs = ledger.runs if name is None else ledger.index.of_push(f"{project}/{name}")
        ours = (each for each in reversed(runs) if each.project == project)
        found = [each for each in ours if after is None or order_of(each) < after]
        page = found[:limit]
        following = "-".join(map(str, order_of(page[-1]))) if len(found) > limit else None
        answer = Json(RunStatuses([run_status(each) for each in page], following))
        if following is not None:
            query = urlencode({**request.query, AFTER.name: following})
            answer.headers["Link"] = f'<{request.rel_url.raw_path}?{query}>; rel="next"'
        return answer

    async def _one_run(self, request: web.Request) -> Json[RunStatus]:
        return Json(run_status(self._found_run(request)))

    async def _repush(self, request: web.Request) -> Json[AskedRun]:
        run = self._found_run(request)
        if not run.is_done:
            raise HttpProblem(409, "Not over", f"run {run.id} isn't over: it is {run.state}")
        asked = await self._asked(request, "repush", run)
        return Json(AskedRun(run_id(run.project, run.push, run.generation, asked.id)), 202)

    async def _cancel(self, request: web.Request) -> Json[AskedRun]:
        run = self._found_run(request)
        if run.is_done:
            raise HttpProblem(409, "Over", f"run {run.id} is over: it is {run.state}")
        await self._asked(request, "cancel", run)
        return Json(AskedRun(run.id), 202)

    async def _confirm(self, request: web.Request) -> Json[AskedRun]:
        run, confirmation = self._found_run(request), await CONFIRMATION.decoded(request)
        await self._confirmed(run, confirmation.list, request[CALLER].name)
        return Json(AskedRun(run.id), 202)

    async def _confirm_by_token(self, request: web.Request) -> Json[AskedRun]:
        callbacks = callbacks_of(self._service.settings.pushes)
        name, of_list = request.match_info["run"], request.match_info["list"]
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if (
            callbacks is None
            or kind.lower() != "bearer"
            or not is_confirmation(callbacks.secret, name, of_list, token.strip())
        ):
            raise HttpProblem(401, "Not allowed", "the token is not the one of this list")
        run = self._service.known_runs().find(name)
        if run is None:
            raise HttpProblem(409, "Not delivered", f"run {name} is no longer known")
        await self._confirmed(run, of_list, "module")
        return Json(AskedRun(run.id), 202)

    async def _confirmed(self, run: Run, of_list: str, by: str) -> None:
        """Have it noted. A reader may be faster than the note that its list was delivered."""
        if run.list_id != of_list or run.state not in ("delivering", "delivered", "confirmed"):
            detail = f"run {run.id} is {run.state}, with the list {run.list_id or 'none'}"
            raise HttpProblem(409, "Not delivered", detail)
        if run.state != "confirmed":
            await self.ask(request_of("confirm", run.project, run.push, run.id, by, list=of_list))

    def _found_run(self, request: web.Request) -> Run:
        project, name = project_of(request), request.match_info["run"]
        found = self._service.known_runs().find(name)
        if found is None or found.project != project:
            raise HttpProblem(404, "No such run", f"project {project} has no run {name!r}")
        return found

    async def _asked(self, request: web.Request, action: Asked, run: Run) -> Request:
        asked = request_of(action, run.project, run.push, run.id, request[CALLER].name)
        await self.ask(asked)
        return asked

    async def ask(self, asked: Request) -> None:
        """Have whoever leads do something. Raises HttpProblem."""
        try:
            await self._service.ask(asked)
        except KafkaError as error:
            raise HttpProblem(503, "Not available now", f"Kafka did not take it: {error!r}") from None


def _after(request: web.Request) -> tuple[int, int, str] | None:
    """The place of the last run of the page before. Raises HttpProblem."""
    text = AFTER.of(request)
    if text is None:
        return None
    try:
        created_ms, due_ms, id = text.split("-")
        return int(created_ms), int(due_ms), id
    except ValueError:
        raise HttpProblem(400, "Bad request", "after isn't what a page gave as next") from None


def _limit(request: web.Request) -> int:
    """Raises HttpProblem."""
    text = LIMIT.of(request) or ""
    if not text.isascii() or not text.isdigit() or not 0 < len(text) < 6 or not 0 < int(text) <= MOST_RUNS:
        raise HttpProblem(400, "Bad request", f"limit is 1 to {MOST_RUNS}, not {text!r}")
    return int(text)


def asks(path: str, handler: Handler, summary: str, body: Body | None = None) -> Route:
    """A route by which somebody asks whoever leads for something."""
    return Route(
        "POST",
        path,
        handler,
        SCOPE,
        summary,
        query=(PROJECT,),
        body=body,
        statuses=(202,),
        problems=(404, 409),
    )
