"""``POST /v1/identities:rebuild``: identities that rows have are claimed, where they aren't claimed yet.

Rows that are older than claims need that once, and all rows when ``<prefix>.identities`` was made again. A
page is some rows of one partition, from the worker that has it, and is answered when its claims are in Kafka.
They are as of each user's first record, so whatever is there already is newer and holds. So a page may be
asked for any number of times, by anybody, while records come and partitions move.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Annotated, Final
from urllib.parse import urlencode

from aiohttp import web
from aiokafka.errors import KafkaError
from msgspec import Meta, Struct

from agents.kafka.placement import partition_of
from app.http.answers import Json
from app.http.forwarding import Forwarding, moved
from app.http.problems import HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.routes import Route
from app.worker.cursor import Cursor
from app.worker.holder import Holder
from app.worker.http_members import AFTER, decoded
from rules.state.identities import Claim, known_identities
from tables.claims import Record, encode_claim, identity_text
from tables.codec import decode_row, split_row_key

PATH: Final = "/v1/identities:rebuild"
ROWS: Final = 500
"""Of a page: some ten milliseconds."""


class RebuiltPage(Struct, frozen=True):
    """What became of some rows."""

    project: str
    rows: Annotated[int, Meta(description="Rows that were looked at, of any project")]
    claims: Annotated[int, Meta(description="Claims that were written")]
    next: Annotated[str | None, Meta(description="`after` of the next page; null: there is none")]


class IdentityRebuilding:
    """Of one worker."""

    def __init__(self, worker: Holder, forwarding: Forwarding) -> None:
        self._worker = worker
        self._forwarding = forwarding

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                PATH,
                self._rebuild,
                "admin",
                "Claim the identities that some rows have, page by page",
                query=(AFTER, PROJECT),
            )
        ]

    async def _rebuild(self, request: web.Request) -> Json[RebuiltPage]:
        worker, project, text = self._worker, project_of(request), AFTER.of(request)
        at = Cursor() if text is None else Cursor.of(text, worker.partitions)
        task = worker.evaluator.tasks.get(at.partition)
        if task is None or worker.evaluator.paused:
            return Json(await self._there(request, project, at))
        profiles = task.pipeline.profiles
        if not at.after:
            profiles.flush()  # rows of the last steps are in memory only
        rows = profiles.store.scan(at.after, ROWS)
        try:
            claims = await self._write(claims_of(rows, project))
        except KafkaError as error:
            raise HttpProblem(503, "Not available now", f"Kafka doesn't take the claims: {error!r}") from None
        after = Cursor(at.partition, rows[-1][0]) if len(rows) == ROWS else Cursor(at.partition + 1)
        is_end = after.partition >= worker.partitions
        return Json(RebuiltPage(project, len(rows), claims, None if is_end else after.text))

    async def _there(self, request: web.Request, project: str, at: Cursor) -> RebuiltPage:
        """From the worker that has the partition. Raises HttpProblem where nobody can tell."""
        url, credentials = self._forwarding.url_of(at.partition), self._forwarding.credentials(request)
        if url is None or credentials is None:
            raise moved([at.partition])
        target = f"{url}{PATH}?{urlencode({AFTER.name: at.text, PROJECT.name: project})}"
        return decoded(await self._forwarding.send(target, credentials, b"{}"), RebuiltPage)

    async def _write(self, claims: Iterable[Claim]) -> int:
        """How many of them weren't known to be there. Raises KafkaError."""
        by_partition: defaultdict[int, list[Record]] = defaultdict(list)
        for each in claims:
            place = identity_text((each.project, each.namespace, each.value))
            record = Record(*encode_claim(each))
            by_partition[partition_of(place, self._worker.partitions)].append(record)
        written = [await self._worker.identities.claim(*each) for each in by_partition.items()]
        return sum(written)


def claims_of(rows: Iterable[tuple[bytes, bytes]], project: str) -> Iterator[Claim]:
    """What rows of a project have, as of each user's first record."""
    for key, value in rows:
        of_project, user_id = split_row_key(key)
        if of_project != project:
            continue
        row = decode_row(value)
        first_ms = row.first_ms if row.first_ms is not None else 0
        for namespace, named in known_identities(row).items():
            yield Claim(project, namespace, named, user_id, first_ms)
