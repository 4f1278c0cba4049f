"""``DELETE /v1/users/{id}``, ``GET /v1/erasures/{id}`` and ``GET /v1/users/{id}/erasure``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiokafka.errors import KafkaError

from agents.kafka.clients import new_admin
from agents.registry.erasures import Receipt
from agents.topics.look import Topic, look
from app.http.answers import Json
from app.http.problems import HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.routes import Route
from app.http.users import BY, USER_ID
from app.worker.erasing.answers import ErasureAsked, ErasureShown
from app.worker.erasing.places import places_of
from app.worker.erasing.request import ask_erasure
from app.worker.holder import Holder

UserOf = Callable[[web.Request, str], Awaitable[str]]
"""The id of the user whom a path names, in a project. Raises HttpProblem."""


class ErasureRoutes:
    """Of one worker."""

    def __init__(self, worker: Holder, user_of: UserOf) -> None:
        self._worker = worker
        self._user_of = user_of

    def routes(self) -> list[Route]:
        return [
            Route(
                "DELETE",
                "/v1/users/{user_id:[^/]+}",
                self._erase,
                "admin",
                "Erase a user: exits with the cause delete; the receipt says what is clean when",
                query=(USER_ID, BY, PROJECT),
                statuses=(202,),
                problems=(404,),
            ),
            Route(
                "GET",
                "/v1/erasures/{erasure:[^/]+}",
                self._receipt,
                "admin",
                "The receipt of an erasure: every place, and when it is clean",
                query=(PROJECT,),
                problems=(404,),
            ),
            Route(
                "GET",
                "/v1/users/{user_id:[^/]+}/erasure",
                self._receipt_of_user,
                "admin",
                "The receipt of a user's last erasure, whoever asked for it",
                query=(USER_ID, BY, PROJECT),
                problems=(404,),
            ),
        ]

    async def _erase(self, request: web.Request) -> Json[ErasureAsked]:
        """202 when the request is in Kafka."""
        project = project_of(request)
        user_id = await self._user_of(request, project)
        admin = new_admin(self._worker.broker)
        try:
            await admin.start()
            asked = await ask_erasure(
                self._worker.broker, admin, self._worker.plan, self._worker.partitions, project, user_id
            )
        except (KafkaError, OSError) as error:
            raise _unreachable(error) from None
        finally:
            await admin.close()
        return Json(asked, 202)

    async def _receipt(self, request: web.Request) -> Json[ErasureShown]:
        """404 until the user's partition has erased the user."""
        project, wanted = project_of(request), request.match_info["erasure"]
        receipt = self._worker.erasures.registry.of_request(wanted)
        if receipt is None or receipt.project != project:
            raise _no_receipt(wanted)
        return Json(await self._shown(wanted, receipt))

    async def _receipt_of_user(self, request: web.Request) -> Json[ErasureShown]:
        """Also of one that a producer's record asked for, whose id nobody may know."""
        project = project_of(request)
        user_id = await self._user_of(request, project)
        receipt = self._worker.erasures.registry.of_user(project, user_id)
        if receipt is None:
            raise HttpProblem(404, "No such erasure", f"nobody with the id {user_id!r} was erased")
        return Json(await self._shown(receipt.requests[-1], receipt))

    async def _shown(self, wanted: str, receipt: Receipt) -> ErasureShown:
        places = places_of(receipt, self._worker.erasures.registry, self._worker.plan, await self._topics())
        return ErasureShown(
            wanted,
            receipt.project,
            receipt.user,
            receipt.partition,
            receipt.at,
            list(receipt.requests),
            places,
        )

    async def _topics(self) -> dict[str, Topic]:
        admin = new_admin(self._worker.broker)
        try:
            await admin.start()
            found = (await look(admin)).topics
            ours = [name for name in found if self._worker.plan.role_of(name) is not None]
            return dict((await look(admin, ours, ours)).topics)
        except (KafkaError, OSError) as error:
            raise _unreachable(error) from None
        finally:
            await admin.close()


def _unreachable(error: BaseException) -> HttpProblem:
    return HttpProblem(503, "Not available now", f"Kafka doesn't answer: {error!r}")


def _no_receipt(wanted: str) -> HttpProblem:
    return HttpProblem(
        404,
        "No such erasure",
        f"no erasure {wanted!r} is done",
        hint="a request that was made just now is done when the user's partition takes it",
    )
