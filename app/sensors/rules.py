"""``express-audience-meta``: the published audiences of a project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Protocol
from zlib import crc32

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from agents.backfill.progress.progress import ProgressOfVersions
from agents.registry.audiences import record_key
from agents.registry.audiences_feed import AudiencesFeed
from agents.registry.feed import Feed
from app.http.answers import Instant, Json
from app.http.problems import HttpProblem
from app.http.routes import JsonBody, Route
from app.sensors.asked import HEADERS, project_of
from app.sensors.envelope import ROOT, Envelope, ErrorEnvelope, answer
from rules.compile.audience import PublishedAudience

META: Final = ROOT + "/express-audience-meta"
PATHS: Final = (META + "/rule/query", META + "//rule/query")
"""The second one is in an example of the engine's documentation, so clients have it."""
MOST_IDS: Final = 10_000
_TITLE: Final = "Not a question"


class RuleQuery(Struct, frozen=True):
    """Which audiences are wanted; ids that no audience has are left out of the answer."""

    query_type: Literal["QUERY_ALL", "QUERY_BY_BIZ_ID_LIST"]
    audience_biz_ids: (
        Annotated[list[str], Meta(description="Of QUERY_BY_BIZ_ID_LIST, which must have them")] | None
    ) = None


class BatchRule(Struct, frozen=True):
    """Of a batch audience."""

    user_group_name: Annotated[str, Meta(description="A name that no other audience of the service has")]


class Rule(Struct, frozen=True):
    """A published audience."""

    audience_biz_id: str
    rule_status: Annotated[
        Literal["ENABLE", "UNABLE"], Meta(description="UNABLE: no version can be computed as it is published")
    ]
    audience_data_ready: Annotated[bool, Meta(description="Lookups of it are answered in every partition")]
    create_time: Annotated[Instant, Meta(description="Of its first version since it was last deleted")]
    update_time: Annotated[Instant, Meta(description="Of its latest version")]
    support_abilities: tuple[Literal["CHECK_ENTITY_EXIST_IN_AUDIENCE"], ...]
    audience_biz_name: str
    audience_rule_type: Literal["BATCH_RULE", "REALTIME_RULE"]
    audience_batch_rule: BatchRule | UnsetType = UNSET


class Rules(Struct, frozen=True):
    """Audiences: of QUERY_ALL by id, otherwise in the order asked."""

    rules: list[Rule]


class Followed(Protocol):
    """What these paths need of a process."""

    feed: AudiencesFeed
    progress: Feed[ProgressOfVersions]

    @property
    def partitions(self) -> int: ...


QUERY = JsonBody(RuleQuery, _TITLE)


class RuleRoutes:
    """Of one process."""

    def __init__(self, process: Followed) -> None:
        self._process = process

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                path,
                self._query,
                "audiences",
                "The published audiences, or some of them",
                headers=HEADERS,
                body=QUERY,
                also=("lookup",),
                problem=ErrorEnvelope,
            )
            for path in PATHS
        ]

    async def _query(self, request: web.Request) -> Json[Envelope[Rules]]:
        project = project_of(request)
        asked = await QUERY.decoded(request)
        published = {
            each.audience.id: each
            for each in self._process.feed.published.values()
            if each.audience.project == project and not each.deleted
        }
        wanted = sorted(published)
        if asked.query_type == "QUERY_BY_BIZ_ID_LIST":
            if asked.audience_biz_ids is None:
                raise HttpProblem(400, _TITLE, "QUERY_BY_BIZ_ID_LIST needs audience_biz_ids")
            if len(asked.audience_biz_ids) > MOST_IDS:
                told = (
                    f"audience_biz_ids may have {MOST_IDS} items at most, not {len(asked.audience_biz_ids)}"
                )
                raise HttpProblem(400, _TITLE, told)
            wanted = [each for each in dict.fromkeys(asked.audience_biz_ids) if each in published]
        return answer(request, Rules([self._rule(published[each]) for each in wanted]))

    def _rule(self, latest: PublishedAudience) -> Rule:
        process, audience = self._process, latest.audience
        key = record_key(audience)
        versions = process.feed.versions.get(key, {})
        known, partitions = process.progress.registry, process.partitions
        state = known.state(audience.project, audience.id, latest.version, partitions)
        is_ready = data_ready(known, versions, latest, partitions)
        is_usable = process.feed.wanted.get(key) == latest.version and state.state != "failed"
        first_ms = first_of(versions, latest).created_ms
        is_batch = audience.type == "batch"
        return Rule(
            audience_biz_id=audience.id,
            rule_status="ENABLE" if is_usable else "UNABLE",
            audience_data_ready=is_ready,
            create_time=_instant(first_ms),
            update_time=_instant(latest.created_ms),
            support_abilities=("CHECK_ENTITY_EXIST_IN_AUDIENCE",),
            audience_biz_name=audience.name,
            audience_rule_type="BATCH_RULE" if is_batch else "REALTIME_RULE",
            audience_batch_rule=BatchRule(_group_name(audience.project, first_ms)) if is_batch else UNSET,
        )


def first_of(versions: Mapping[int, PublishedAudience], latest: PublishedAudience) -> PublishedAudience:
    """The first version since the audience was last deleted; ``versions`` are those that are known."""
    first = latest
    for each in _of_this_life(versions, latest):
        first = each
    return first


def data_ready(
    known: ProgressOfVersions,
    versions: Mapping[int, PublishedAudience],
    latest: PublishedAudience,
    partitions: int,
) -> bool:
    """Whether lookups are answered everywhere: by the first version where it is ready, or by a later one."""
    audience, first = latest.audience, first_of(versions, latest)
    ready: set[int] = set()
    for each in _of_this_life(versions, latest):
        for partition, progress in known.of(audience.project, audience.id, each.version).items():
            takes_over = progress.state == "cut" and each is not first
            if progress.state == "ready" or takes_over:
                ready.add(partition)
    return partitions > 0 and ready.issuperset(range(partitions))


def project_number(project: str) -> int:
    """A number that stands for a project: the engine has such numbers, and we have names alone."""
    return crc32(project.encode()) & 0x7FFFFFFF


def _of_this_life(
    versions: Mapping[int, PublishedAudience], latest: PublishedAudience
) -> Iterator[PublishedAudience]:
    """From the latest version back to the first one since it was deleted."""
    yield latest
    for number in sorted((each for each in versions if each < latest.version), reverse=True):
        if versions[number].deleted:
            return
        yield versions[number]


def _group_name(project: str, first_ms: int) -> str:
    """Publications of a service have different instants, so that this is one audience's."""
    return f"user_group_pj{project_number(project)}_o_{first_ms}"


def _instant(at_ms: int) -> str:
    """As the engine writes it: to the second."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
