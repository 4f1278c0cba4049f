"""The paths of the audience engine on a real HTTP base, for a process that follows no topic."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry

from agents.backfill.progress.progress import (
    Progress,
    ProgressKey,
    State,
    encode_key,
    encode_progress,
    progress_feed,
)
from agents.kafka.consumed import Consumed
from agents.notices.addresses import NotifyAddress, address_record, notify_feed
from agents.registry.api_keys_topic import api_keys_feed
from agents.registry.audiences import audience_record
from agents.registry.audiences_feed import AudiencesFeed
from agents.warnings import Warnings
from app.http.api_keys import KeyRing
from app.http.base import Health, HttpBase
from app.http.rate_limits import rate_limits_of
from app.kafka.configured import parse_published
from app.lookup.model import LookupRequest, Membership, Status, UserAnswer
from app.sensors.routes import FORMS, sensors_routes
from app.settings.tree import Settings
from rules.compile.audience import PublishedAudience
from rules.parse.definitions import load_definitions
from tests.app.http.lab import digest, no_consumer, ready
from tests.app.sensors.seed import KEYS, SeedClient

SCOPES = {"notify": "destinations", "meta": "audiences", "online": "lookup"}
SENSORS = {"formats": [{"topic": "turnstile.events", "format": "sensors"}]}


class Process:
    """``members``: the audiences of each user. ``asked``: the lookups that came."""

    def __init__(self, **settings: Any) -> None:
        keys = [
            {"name": name, "sha256": digest(key), "scopes": [SCOPES[name]], "projects": ["default"]}
            for name, key in KEYS.items()
        ]
        given = {"sources": SENSORS, **settings}
        http = {"port": 0, "probe_port": 0, "api_keys": keys, **given.pop("http", {})}
        self.settings = Settings.model_validate({**given, "http": http})
        self.partitions = 2
        self.warnings = Warnings()
        self.members: dict[str, set[str]] = {}
        self.status: Status = "ok"
        self.asked: list[LookupRequest] = []
        parse = partial(parse_published, max_samples=100)
        self.feed = AudiencesFeed(no_consumer, "t.audiences", parse, lambda rules: None, 100)
        self.progress = progress_feed(no_consumer, "t.progress", self.warnings)
        self.notify = notify_feed(no_consumer, "t.notify", self.warnings)
        self.notify.loaded.set()
        self._offset = 0

    def publish(self, text: str, version: int = 1, created_ms: int = 0, deleted: bool = False) -> None:
        (audience,) = load_definitions([("a.yaml", text)])
        record = audience_record(PublishedAudience(audience, version, deleted, created_ms))
        self.feed.take(self._consumed(*record))
        self.feed._use()

    def tell(self, audience: str, version: int, *states: State, **figures: int) -> None:
        """What the partitions say of a version."""
        for partition, state in enumerate(states):
            key = encode_key(ProgressKey("default", audience, version, partition))
            progress = Progress(state, **figures)
            self.progress.take(self._consumed(key, encode_progress(progress)))

    def address(self, address: NotifyAddress | None, project: str = "default") -> None:
        self.notify.take(self._consumed(*address_record(project, address)))

    async def look(self, request: web.Request, asked: LookupRequest) -> list[UserAnswer]:
        self.asked.append(asked)
        return [self._answer(each.user_id or ":".join(each.identity or ()), asked) for each in asked.users]

    def _answer(self, user_id: str, asked: LookupRequest) -> UserAnswer:
        if self.status != "ok":
            return UserAnswer(self.status)
        if user_id not in self.members:
            return UserAnswer("unknown_user")
        found = {each: Membership(each in self.members[user_id]) for each in asked.audiences or ()}
        return UserAnswer("ok", user_id, found)

    def _consumed(self, key: bytes, value: bytes | None) -> Consumed:
        self._offset += 1
        return Consumed("t", 0, self._offset, 0, key, value, [])


@asynccontextmanager
async def serving(process: Process) -> AsyncIterator[SeedClient]:
    """A client of the documentation, of this process."""
    keys_feed = api_keys_feed(no_consumer, "t.keys", process.warnings)
    keys_feed.loaded.set()
    keys = KeyRing(process.settings.http, keys_feed, process.warnings)
    health = Health(lambda: True, list, ready, CollectorRegistry(), process.warnings)
    base = HttpBase(
        "http",
        process.settings.http,
        keys,
        health,
        sensors_routes(process, process.look),
        forms=FORMS,
        limits=rate_limits_of(process.settings.http),
    )
    await base.start()
    try:
        async with ClientSession() as session:
            yield SeedClient(session, base.url)
    finally:
        await base.stop()
