"""What workers know of users, for definitions that send attributes or another id (``GET /v1/users/{id}``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from ssl import SSLContext
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from cachetools import TTLCache

from agents.deliver.contract.delivery import UserFacts
from agents.deliver.definitions.destination import Destination, Webhook
from agents.deliver.definitions.templates import variables_in

CONCURRENCY = 32
FRESH_SECONDS = 2.0
"""An answer is used again for so long: one step of a user makes several transitions."""
CACHED = 10_000


class LookupFailed(Exception):
    """No worker answered for a user, for now."""


class _State(msgspec.Struct, frozen=True):
    first: str | None = None
    now: str | None = None


class _User(msgspec.Struct):
    attributes: dict[str, Any] = {}
    identities: dict[str, str] = {}
    state: _State = _State()


_decode = msgspec.json.Decoder(_User).decode


def needs_user(destination: Destination) -> bool:
    """Whether deliveries need a look at the user."""
    target = destination.target
    if destination.id_type != "user_id" or destination.attributes or destination.reach_by is not None:
        return True
    return isinstance(target, Webhook) and any(
        each.source == "attribute" for each in variables_in(target.variables)
    )


class Users:
    """Lookups at a worker, whichever: it asks the owner."""

    def __init__(
        self, url: str, api_key: str | None, trust: Callable[[], SSLContext | bool] = lambda: True
    ) -> None:
        """``trust`` gives what aiohttp takes as ``ssl``; by default the system's authorities."""
        self._trust = trust
        self._url = url.rstrip("/")
        self._headers = {"api-key": api_key} if api_key else {}
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._known: TTLCache[tuple[str, str], UserFacts] = TTLCache(CACHED, FRESH_SECONDS, time.monotonic)

    async def get_all(self, project: str, users: Sequence[str]) -> Mapping[str, UserFacts | LookupFailed]:
        """By user id; never raises for an unknown user, of whom nothing is known."""
        answers = await asyncio.gather(*(self._get(project, user) for user in users))
        return dict(zip(users, answers, strict=True))

    async def _get(self, project: str, user: str) -> UserFacts | LookupFailed:
        cached = self._known.get((project, user))
        if cached is not None:
            return cached
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        # In the query: clients and proxies take an id of dots out of a path (docs/http.md).
        query = f"user_id={quote(user, safe='')}&project={quote(project, safe='')}"
        url = f"{self._url}/v1/users/-?{query}"
        async with self._slots:
            try:
                async with self._session.get(
                    _url(url),
                    headers=self._headers,
                    allow_redirects=False,  # one would take the key along
                    ssl=self._trust(),
                ) as answer:
                    body = await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                return LookupFailed(f"no worker answers at {self._url} (deliver.lookup_url): {error!r}")
        if answer.status == 404:
            facts = UserFacts({}, {})
        elif answer.status != 200:
            return LookupFailed(f"{self._url} (deliver.lookup_url) answered {answer.status}")
        else:
            try:
                user_found = _decode(body)
            except msgspec.DecodeError as error:
                return LookupFailed(
                    f"{self._url} (deliver.lookup_url) gave an answer that isn't a worker's: {error}"
                )
            state = user_found.state
            facts = UserFacts(user_found.attributes, user_found.identities, state.first, state.now)
        self._known[project, user] = facts
        return facts

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _url(text: str) -> Any:
    from yarl import URL

    return URL(text, encoded=True)
