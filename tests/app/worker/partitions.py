"""Workers that answer over HTTP from partitions in memory, without Kafka."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp

from agents.backfill.progress.progress import Progress, state_of
from agents.evaluate.evaluator import Evaluator
from agents.evaluate.native.engine import Engine
from agents.evaluate.steps import Limits
from agents.identities.follower import Found
from agents.kafka.placement import Place, partition_of
from agents.registry.api_keys_topic import api_keys_feed
from agents.warnings import Warnings
from app.http.api_keys import KeyRing
from app.kafka.embedded import free_ports
from app.settings.tree import load_settings
from app.worker.http import Server
from app.worker.metrics import WorkerMetrics
from rules.compile.rule_set import RuleSet
from tables.claims import Identity, Record, encode_claim, identity_text
from tables.identities import IdentityStore
from tables.store import MemoryStore
from tests.app.http.lab import no_consumer
from tests.driver.partition import Rec
from tests.stage.compare import rules_of

T = 1_700_000_000_000
PARTITIONS = 4
DEFINITIONS = """
audiences:
  - {id: viewers, name: Viewers, rule: {event: view}}
  - {id: brief, name: Brief, rule: {event: view, within: 10s}}
  - {id: idle, name: Idle, rule: {event: view, since_last: {gte: 10s}}}
  - {id: shoppers, project: shop, name: Shoppers, rule: {event: view}}
"""
USERS = [f"user-{number:03}" for number in range(60)]


class Lab:
    """``pipelines`` by partition; the first worker holds those with even numbers."""

    def __init__(self, keys: list[dict[str, object]], engine: Engine, **settings: str) -> None:
        self.now_ms = T
        self.engine = engine
        self._settings = settings
        self.identities = [IdentityStore(MemoryStore()) for _ in range(PARTITIONS)]
        self.claimed: list[Record] = []
        """By rebuilding."""
        self._keys = json.dumps(keys)
        self.state = state_of({0: Progress("ready")}, 1)
        """Of every version, as far as the progress topic tells."""
        self.offset = 0
        self.pipelines = [
            engine.pipeline(Place(each, PARTITIONS), MemoryStore(), Limits(), 1_000, 30)
            for each in range(PARTITIONS)
        ]
        self.urls = [f"http://127.0.0.1:{port}" for port in free_ports(2)]
        self.owner = {each: each % 2 for each in range(PARTITIONS)}
        self.workers = [self._worker(url) for url in self.urls]
        self.servers = [Server(each) for each in self.workers]
        self.session: aiohttp.ClientSession

    def _worker(self, url: str) -> Any:
        warnings = Warnings()
        environ = {"TURNSTILE_HTTP__PORT": url.rsplit(":", 1)[1], "TURNSTILE_HTTP__PROBE_PORT": "0"}
        environ["TURNSTILE_HTTP__API_KEYS"] = self._keys
        environ |= self._settings
        settings = load_settings(environ=environ)
        keys = api_keys_feed(no_consumer, "t.keys", warnings)
        keys.loaded.set()
        clock = SimpleNamespace(wall_ms=lambda: self.now_ms, caught_up_ms=lambda _: self.now_ms)
        evaluator = Evaluator(None, clock, 0, _crash)  # type: ignore[arg-type]
        evaluator.paused = False
        return SimpleNamespace(
            settings=settings,
            warnings=warnings,
            keys=KeyRing(settings.http, keys, warnings),
            metrics=WorkerMetrics(warnings),
            evaluator=evaluator,
            engine=self.engine,
            feed=SimpleNamespace(unreadable={}, versions={}),
            identities=_Kept(self, self.urls.index(url)),
            past=SimpleNamespace(
                upkeep=SimpleNamespace(state=lambda *_: self.state, pending_view=lambda *_: None)
            ),
            partitions=PARTITIONS,
            advertised_url=url,
            crashed=None,
            not_ready=list,
            owner_of=lambda user: (
                partition_of(user, PARTITIONS),
                self.urls[self.owner[partition_of(user, PARTITIONS)]],
            ),
            url_of=self._url_of,
        )

    def _url_of(self, partition: int) -> str | None:
        owner = self.owner.get(partition)
        return None if owner is None else self.urls[owner]

    def assign(self, owner: dict[int, int]) -> None:
        """Move partitions: by number, which worker has each."""
        self.owner = owner
        for number, worker in enumerate(self.workers):
            worker.evaluator.tasks = {
                each: SimpleNamespace(pipeline=self.pipelines[each])
                for each, whose in owner.items()
                if whose == number
            }

    def publish(self, rules: RuleSet) -> None:
        """Definitions that decide nowhere yet."""
        for worker in self.workers:
            worker.evaluator.rules = rules

    def define(self, rules: RuleSet, sweep: bool = True) -> None:
        self.publish(rules)
        for pipeline in self.pipelines:
            pipeline.define(rules)
            while sweep and pipeline.sweeping:
                pipeline.durable([pipeline.sweep(100)])

    def view(
        self,
        users: Iterable[str],
        at_ms: int = T,
        project: str = "default",
        identities: Mapping[str, str | None] | None = None,
    ) -> None:
        for user in users:
            self.offset += 1
            body = {"user_id": user, "event": "view", "project": project, "identities": identities}
            value = json.dumps(body).encode()
            partition = partition_of(user, PARTITIONS)
            record = Rec("events", partition, self.offset, at_ms, user.encode(), value)
            pipeline = self.pipelines[partition]
            step = pipeline.apply([record])
            pipeline.durable([step])
            for _, claim in step.claims:
                text = identity_text((claim.project, claim.namespace, claim.value))
                self.identities[partition_of(text, PARTITIONS)].take(
                    [Record(*encode_claim(claim))], self.offset, b""
                )

    def update(self, user: str, at_ms: int = T, **attributes: object) -> None:
        """A profile update that sets attributes."""
        self.offset += 1
        value = json.dumps({"user_id": user, "type": "profile", "set": attributes}).encode()
        partition = partition_of(user, PARTITIONS)
        pipeline = self.pipelines[partition]
        pipeline.durable(
            [pipeline.apply([Rec("events", partition, self.offset, at_ms, user.encode(), value)])]
        )

    async def get(self, path: str, worker: int = 0, **headers: str) -> tuple[int, Any, Any]:
        async with self.session.get(self.urls[worker] + path, headers=headers) as answer:
            text = await answer.text()
            is_lines = answer.content_type == "application/x-ndjson"
            body = [json.loads(line) for line in text.splitlines()] if is_lines else json.loads(text)
            return answer.status, body, answer.headers

    async def post(self, path: str, body: object, worker: int = 0, **headers: str) -> tuple[int, Any, Any]:
        async with self.session.post(self.urls[worker] + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def pages(self, audience: str, limit: int, worker: int = 0, query: str = "") -> list[list[Any]]:
        """All pages of an audience, in turns from either worker."""
        found: list[list[Any]] = []
        after = ""
        while True:
            path = f"/v1/audiences/{audience}/members?limit={limit}{after}{query}"
            status, body, _ = await self.get(path, (worker + len(found)) % 2)
            assert status == 200, body
            found.append(body["members"])
            if body["next"] is None:
                return found
            after = f"&after={body['next']}"


class _Kept:
    """The identities of the partitions that a worker of the lab has."""

    def __init__(self, lab: Lab, number: int) -> None:
        self._lab = lab
        self._number = number

    def holders(self, partition: int, identities: Sequence[Identity]) -> Found | None:
        if self._lab.owner.get(partition) != self._number:
            return None
        return Found(self._lab.identities[partition].holders(identities), self._lab.now_ms)

    async def claim(self, partition: int, claims: Sequence[Record]) -> int:
        """As the follower does; where somebody else keeps them, all go out."""
        store = self._lab.identities[partition]
        if self._lab.owner.get(partition) == self._number:
            known = store.standing([each.key or b"" for each in claims])
            claims = [each for each, it in zip(claims, known, strict=True) if it is None]
        self._lab.claimed += claims
        store.take(claims, store.position + len(claims), b"")
        return len(claims)

    def collided(self, partition: int, project: str, after: bytes, limit: int) -> Any:
        if self._lab.owner.get(partition) != self._number:
            return None
        return *self._lab.identities[partition].collided(project, after, limit), self._lab.now_ms


def _crash(error: BaseException) -> None:
    raise error


@asynccontextmanager
async def lab(*keys: dict[str, object], engine: Engine | None = None, **settings: str) -> AsyncIterator[Lab]:
    """``keys`` as in the settings; without any nobody asks for one. ``engine``: the Python one if none is
    given. ``settings``: more variables."""
    made = Lab([*keys], engine or Engine(), **settings)
    made.assign(made.owner)
    made.define(rules_of(DEFINITIONS))
    for server in made.servers:
        await server.start()
    async with aiohttp.ClientSession() as made.session:
        try:
            yield made
        finally:
            for server in made.servers:
                await server.stop()
