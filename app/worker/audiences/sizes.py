"""How many members audiences have, for answers about definitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from aiohttp import web

from app.http.problems import HttpProblem
from app.worker.askable import Asked
from app.worker.http_members import AudienceMembers


class KnownSizes:
    """The sizes that are known now, over all partitions."""

    def __init__(self, worker: Asked, members: AudienceMembers) -> None:
        self._worker = worker
        self._members = members

    async def of(self, request: web.Request, project: str) -> Mapping[str, int]:
        """Members by id, without audiences that aren't ready; none while some partition can't be asked."""
        try:
            parts = await self._members.sizes(request, project)
        except HttpProblem:
            return {}
        unsettled = {each for part in parts.values() for each in part.unsettled}
        audiences = [each.id for each in self._worker.evaluator.rules.project(project).audiences]
        sizes: Counter[str] = Counter()
        for part in parts.values():
            sizes.update(part.sizes)
        return {each: sizes[each] for each in audiences if each not in unsettled}
