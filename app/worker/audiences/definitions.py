"""Definitions in requests: one, or several for a check."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from app.http.answers import ProblemError
from app.http.problems import HttpProblem
from app.http.routes import Body
from app.publish.audiences import Published, check_beside_published
from app.publish.problems import errors_of, not_definitions
from app.settings.tree import Settings
from app.worker.audiences.answers import Validation
from rules.parse.audience import ParsedAudience
from rules.parse.definitions import parse_definitions
from rules.parse.problems import DefinitionProblem
from rules.warn.find import warnings_of

DEFINITION_BYTES = 128 * 1024
"""Of a body: some YAML takes long to read, more than in proportion to its length."""
DEFINITION = Body("application/json", "application/yaml", most_bytes=DEFINITION_BYTES)
FILE = "definition"
"""Names the body in texts of errors."""


class Definitions:
    """Reads definitions in a thread, so that lookups go on, and one after the other, so that many of them
    don't take all the time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "definitions")

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def one(self, body: bytes) -> ParsedAudience:
        """Raises HttpProblem: 422 with every error found."""
        found, problems = await self._in_thread(body)
        if problems:
            raise not_definitions(problems)
        if len(found) != 1:
            raise HttpProblem(422, "Not a definition", f"the body must hold one definition, not {len(found)}")
        return found[0]

    async def all(self, body: bytes, project: str, published: Published) -> list[ParsedAudience]:
        """One or more definitions of a project that are right beside the published ones.

        Raises HttpProblem: 422 with every error found.
        """
        found, problems = await self._in_thread(body)
        loop = asyncio.get_running_loop()
        beside = partial(check_beside_published, found, published, problems)
        problems += await loop.run_in_executor(self._thread, beside)
        if problems:
            raise not_definitions(problems)
        if not found:
            raise HttpProblem(422, "Not a definition", "the body has no definition")
        for each in found:
            if (its := each.audience.project) != project:
                detail = f"the definition's project is {its!r}, the query's {project!r}"
                raise HttpProblem(422, "Not a definition", detail)
        return found

    async def validation(self, body: bytes, published: Published) -> Validation:
        """What is wrong with definitions, beside those that are published."""
        found, problems = await self._in_thread(body)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, _validation, found, problems, dict(published))

    async def _in_thread(self, body: bytes) -> tuple[list[ParsedAudience], list[DefinitionProblem]]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._parsed, body)

    def _parsed(self, body: bytes) -> tuple[list[ParsedAudience], list[DefinitionProblem]]:
        settings = self._settings
        try:
            return parse_definitions(body.decode(), FILE, settings.state.max_samples, settings.projects.zones)
        except (ValueError, RecursionError):
            message = "the body must be definitions, UTF-8"
            return [], [DefinitionProblem("not_utf8", message, "", FILE, 1, 1)]


def _validation(
    found: list[ParsedAudience], problems: list[DefinitionProblem], published: Published
) -> Validation:
    all_problems = [*problems, *check_beside_published(found, published, problems)]
    others = [each.audience for each in published.values() if not each.deleted]
    warnings: list[ProblemError] = errors_of(warnings_of(found, others))
    ids = [each.audience.id for each in found]
    return Validation(not all_problems, ids, errors_of(all_problems), warnings)
