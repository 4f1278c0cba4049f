"""A reader that answers over HTTP from stores that were filled here, without Kafka."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from agents.backfill.progress.progress import Progress, ProgressKey, encode_key, encode_progress
from agents.evaluate.native.engine import Engine
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.follow.followed import Followed
from agents.follow.replicas import Replicas
from agents.kafka.consumed import Consumed
from agents.kafka.placement import Place, partition_of
from agents.registry.audiences import audience_record
from agents.restore.reading import Reading
from agents.topics.written import WrittenTopics
from app.http.at_once.answers import AnswersOfRoutes
from app.http.plain import PlainRequest
from app.serve.http import ReaderServer
from app.serve.reader import Reader
from app.settings.tree import load_settings
from rules.compile.audience import PublishedAudience
from rules.parse.definitions import load_definitions
from tables.changelog.reader import ChangelogReader
from tables.codec import CHECKPOINT_KEY, Checkpoint, encode_checkpoint
from tables.cut import CUT_KEY, Cut, encode_cut
from tables.memory_store import MemoryStore
from tables.meta import StoreMeta
from tables.profiles import Profiles
from tests.driver.kafka import Stored
from tests.driver.partition import Rec

T = 1_700_000_000_000
PARTITIONS = 2
DEFINITIONS = """
audiences:
  - {id: viewers, name: Viewers, rule: {event: view}}
  - {id: brief, name: Brief, rule: {event: view, within: 10s}}
  - {id: shoppers, project: shop, name: Shoppers, rule: {event: view}}
"""
DATE = re.compile(rb"Date: [^\r]+\r\n")


class Part:
    """One partition: an owner's rows, and the reader's view of them."""

    def __init__(self, lab: Lab, number: int) -> None:
        self._lab = lab
        self.store = MemoryStore()
        self.owner = Pipeline(Place(number, PARTITIONS), Profiles(self.store, 1_000), Limits())
        store: Any = self.store
        self.followed = Followed.of(number, Reading(store, ChangelogReader(), 0, StoreMeta(0, b"").indexed()))
        self._offset = 0

    def write(self, key: bytes, value: bytes) -> None:
        self._offset += 1
        record = Stored("changelog", 0, self._offset - 1, 0, key, value, ())
        self.followed.take([record], self._offset, self._lab.reader.warnings)
        self._lab.replicas.changed(self.followed)


class Lab:
    """``asked`` counts what was answered at once, and what wasn't."""

    def __init__(self, engine: Engine, keys: Iterable[dict[str, object]], **settings: str) -> None:
        self.now_ms = T
        environ = {"TURNSTILE_SERVE__PORT": "0", "TURNSTILE_SERVE__PROBE_PORT": "0"}
        environ |= {"TURNSTILE_HTTP__API_KEYS": json.dumps([*keys]), **settings}
        self.reader = reader = Reader(load_settings(environ=environ))
        nothing_kept: Any = SimpleNamespace(holders=lambda *_: None, collided=lambda *_: None)
        reader.identities = nothing_kept
        reader.keys._feed.loaded.set()
        topic = reader.plan.changelog
        reader.topics.counts = {topic: PARTITIONS}
        reader.topics.changelog = WrittenTopics(topic, "transitions", "repartition", PARTITIONS, PARTITIONS)
        self.replicas = Replicas(
            PARTITIONS, lambda _: (), Limits(), reader.ends, lambda: self.now_ms, 0, 10_000, engine
        )
        reader.replicas = reader.evaluator.replicas = reader.past.replicas = self.replicas
        reader.reached.replicas, reader.past.partitions = self.replicas, PARTITIONS
        self._offset = 0
        self.active: dict[str, int] = {}
        self.parts = [Part(self, each) for each in range(PARTITIONS)]
        self.define(DEFINITIONS)
        self.server = ReaderServer(reader)
        self.asked = {True: 0, False: 0}

    @property
    def url(self) -> str:
        return self.server.url

    def define(self, text: str, is_ready: bool = True) -> None:
        active = self.active
        for audience in load_definitions([("a.yaml", text)]):
            self.reader.feed.take(self._consumed(*audience_record(PublishedAudience(audience, 1))))
            active[f"{audience.project}/{audience.id}"] = 1
            for partition in range(PARTITIONS if is_ready else 0):
                key = encode_key(ProgressKey(audience.project, audience.id, 1, partition))
                self.reader.progress.take(self._consumed(key, encode_progress(Progress("ready"))))
        self.reader.feed._use()
        rules = self.reader.catalog.rules(active)
        for part in self.parts:
            part.owner.define(rules)
            while part.owner.sweeping:
                part.owner.durable([part.owner.sweep(100)])
            part.write(CUT_KEY, encode_cut(Cut(active=dict(active))))
        self.stand()

    def view(self, users: Iterable[str], at_ms: int = T, project: str = "default") -> None:
        for user in users:
            self._offset += 1
            value = json.dumps({"user_id": user, "event": "view", "project": project}).encode()
            partition = partition_of(user, PARTITIONS)
            owner = self.parts[partition].owner
            owner.durable(
                [owner.apply([Rec("events", partition, self._offset, at_ms, user.encode(), value)])]
            )
        self.stand()

    def stand(self) -> None:
        """The reader has read everything."""
        for part in self.parts:
            owner = part.owner
            found = Checkpoint(owner.step + 1, owner.step + 1, T, owner.rules.fingerprint, 1, {})
            part.write(CHECKPOINT_KEY, encode_checkpoint(found))

    def count_at_once(self) -> None:
        """Count in ``asked`` from here on."""
        main: Any = self.server._base._main
        answers: AnswersOfRoutes = main._at_once
        asked = answers.answer

        def answer(request: PlainRequest) -> bytes | None:
            found = asked(request)
            self.asked[found is not None] += 1
            return found

        main._at_once = type("Counting", (), {"answer": staticmethod(answer)})()

    def _consumed(self, key: bytes, value: bytes | None) -> Consumed:
        self._offset += 1
        return Consumed("t", 0, self._offset, 0, key, value, [])


@asynccontextmanager
async def lab(*keys: dict[str, object], engine: Engine | None = None, **settings: str) -> AsyncIterator[Lab]:
    """``keys`` as in the settings; without any nobody asks for one. ``engine``: the Python one if none is
    given. ``settings``: more variables."""
    made = Lab(engine or Engine(), keys, **settings)
    await made.server.start()
    made.count_at_once()
    try:
        yield made
    finally:
        await made.server.stop()


class Client:
    """One connection, by bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def answer(self) -> bytes:
        """The next whole answer without its date; empty: the connection is closed."""
        try:
            head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 20)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        return DATE.sub(b"", head) + body

    async def ask(self, request: bytes) -> bytes:
        self.writer.write(request)
        return await self.answer()

    async def is_closed(self) -> bool:
        try:
            return await asyncio.wait_for(self._reader.read(1), 20) == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def client(url: str, **more: Any) -> AsyncIterator[Client]:
    port = int(url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **more)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
