"""Identities that this process keeps, and those that others keep: whose each of them is.

An identity is kept by the worker that has the partition of the claims topic which the identity belongs to; it
has the same number as the partition of the table. Each worker that keeps some is asked once.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Final, Literal, Protocol
from urllib.parse import urlencode

import msgspec
import structlog
from msgspec import Meta, Struct

from agents.identities.follower import Found
from agents.kafka.placement import partition_of
from app.http.answers import Instant
from app.http.forwarding import Forwarding
from app.http.problems import HttpProblem
from app.http.projects import PROJECT
from app.lookup.held import Credentials
from app.lookup.resolver import Identity, Resolution
from rules.time.instants import format_instant, parse_instant
from tables.claims import Identity as Named
from tables.claims import identity_text

log = structlog.get_logger("turnstile.lookup")

PATH: Final = "/v1/identities:resolve"
DISTINCT_ID: Final = "distinct_id"
"""With a source of format ``sensors`` this namespace is that of the user ids."""


class ResolvedIdentity(Struct, frozen=True):
    """Whose an identity is."""

    identity: dict[str, str]
    status: Annotated[
        Literal["ok", "unknown_user", "unavailable"],
        Meta(description="`unknown_user`: nobody claims it. `unavailable`: who keeps it can't be asked now"),
    ]
    user_id: str | None
    as_of: Annotated[
        Instant | None, Meta(description="Claims that were written up to this instant count; null: none do")
    ]


class ResolvedIdentities(Struct, frozen=True):
    """The answers, in the order of the identities that were asked for."""

    project: str
    identities: list[ResolvedIdentity]


def resolved_shown(identity: Identity, found: Resolution) -> ResolvedIdentity:
    namespace, value = identity
    status: Literal["ok", "unknown_user", "unavailable"] = "ok"
    if found.user_id is None:
        status = "unknown_user" if found.is_known else "unavailable"
    as_of = None if found.as_of_ms is None else format_instant(found.as_of_ms)
    return ResolvedIdentity({namespace: value}, status, found.user_id, as_of)


class HeldIdentities(Protocol):
    """The identities that this process keeps."""

    def holders(self, partition: int, identities: Sequence[Named]) -> Found | None:
        """Of identities of a partition; None: they aren't kept here, or not all claims are read yet."""
        ...


_UNKNOWN: Final = Resolution(None, is_known=False)
_decode = msgspec.json.Decoder(ResolvedIdentities).decode


class IdentityOwners:
    """A ``Resolver`` over all processes. ``user_ids`` are the namespaces whose values are user ids."""

    def __init__(
        self,
        held: Callable[[], HeldIdentities],
        partitions: Callable[[], int],
        forwarding: Forwarding,
        user_ids: Collection[str] = (),
    ) -> None:
        self._held = held
        self._partitions = partitions
        self._forwarding = forwarding
        self._user_ids = user_ids

    async def resolve(
        self,
        project: str,
        identities: Sequence[Identity],
        credentials: Credentials | None,
        seconds: float | None = None,
    ) -> list[Resolution]:
        now_ms = time.time_ns() // 1_000_000
        found = {
            each: Resolution(each[1], now_ms) if each[0] in self._user_ids else _UNKNOWN
            for each in identities
        }
        elsewhere = self._here(project, [each for each in found if found[each] is _UNKNOWN], found)
        if elsewhere and credentials is not None:
            asked = (
                self._there(url, project, of, credentials, seconds) for url, of in elsewhere.items() if url
            )
            for answers in await asyncio.gather(*asked):
                found.update(answers)
        return [found[each] for each in identities]

    def _here(
        self, project: str, identities: Sequence[Identity], found: dict[Identity, Resolution]
    ) -> Mapping[str | None, list[Identity]]:
        """Find what is kept here; the others by the URL of who keeps them (None: not known now)."""
        by_partition: defaultdict[int, list[Identity]] = defaultdict(list)
        partitions = self._partitions()
        if not partitions:
            return {}  # nothing is known of the topics yet
        for each in identities:
            by_partition[partition_of(identity_text((project, *each)), partitions)].append(each)
        elsewhere: defaultdict[str | None, list[Identity]] = defaultdict(list)
        for partition, of in by_partition.items():
            held = self._held().holders(partition, [(project, *each) for each in of])
            if held is None:
                elsewhere[self._forwarding.url_of(partition)] += of
                continue
            for each, holder in zip(of, held.holders, strict=True):
                found[each] = Resolution(None if holder is None else holder.user_id, held.as_of_ms)
        return elsewhere

    async def _there(
        self,
        url: str,
        project: str,
        identities: Sequence[Identity],
        credentials: Credentials,
        seconds: float | None,
    ) -> dict[Identity, Resolution]:
        body = msgspec.json.encode({"identities": [dict([each]) for each in identities]})
        target = f"{url}{PATH}?{urlencode({PROJECT.name: project})}"
        try:
            async with asyncio.timeout(seconds):
                answer = await self._forwarding.send(target, credentials, body)
            if answer.status != 200:
                raise HttpProblem(answer.status, "No answer", f"{url} answers {answer.status}")
            answers = _decode(answer.body).identities
        except (HttpProblem, TimeoutError, msgspec.MsgspecError) as error:
            log.info("keeper_is_silent", url=url, identities=len(identities), error=str(error) or "too late")
            return {}
        return {asked: _read(each) for asked, each in zip(identities, answers, strict=False)}


def _read(answer: ResolvedIdentity) -> Resolution:
    as_of_ms = None if answer.as_of is None else parse_instant(answer.as_of)
    return Resolution(answer.user_id, as_of_ms, answer.status != "unavailable")
