"""All rows, and the rules by which they were decided, as a process of pushes follows them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from agents.backfill.versions.catalog import Catalog
from agents.evaluate.native.engine import Engine
from agents.follow.follower import Follower
from agents.follow.replicas import Replicas
from agents.follow.source_ends import SourceEnds
from agents.follow.topics import FollowedTopics
from agents.kafka.clients import committed_consumer, new_consumer
from agents.pushes.snapshot.hold import Hold
from agents.pushes.snapshot.snapshot import Snapshots
from agents.registry.audiences_feed import AudiencesFeed
from agents.restore.opening import ChangelogStores
from agents.wall_clock import WallClock
from agents.warnings import Warnings
from app.kafka.configured import broker_of, parse_published, plan_of
from app.settings.limits import limits_of
from app.settings.tree import Settings
from app.supervisor import Supervisor
from rules.compile.rule_set import RuleSet
from tables.store import RocksMemory
from tables.store_faults import make_directory

MOST_BYTES: Final = 128 * 1024**2
"""Of RocksDB's cache, and of its write buffers. Lists are read in the order of the keys, so a larger cache
would hold blocks that nobody asks for again."""


class Following:
    """``begin`` once the topics are there and ``audiences`` is loaded."""

    def __init__(self, settings: Settings, admin: AIOKafkaAdminClient, warnings: Warnings) -> None:
        self._settings = settings
        self._warnings = warnings
        self._broker = broker_of(settings)
        plan, most = plan_of(settings), settings.state.max_samples
        self.topics = FollowedTopics(admin, plan)
        self.audiences = AudiencesFeed(
            partial(committed_consumer, self._broker),
            plan.audiences,
            partial(parse_published, max_samples=most),
            self._defined,
            most,
            warnings,
        )
        self.wall = WallClock(settings.clock.max_lead_ms, warnings)
        self.replicas: Replicas | None = None
        """None: the changelog isn't followed yet."""
        self._catalog = Catalog({}, {})
        self._ends = SourceEnds(self._consumer, self.wall.now_ms, self._ends_told)
        self._hold = Hold()
        self._follower: Follower | None = None

    def begin(self, folder: Path, life: Supervisor) -> None:
        """Follow all partitions into stores below the folder. Raises StoreUnusable."""
        settings, changelog = self._settings, self.topics.changelog
        make_directory(folder)
        cache = settings.cache
        memory = RocksMemory.of(min(cache.block_bytes, MOST_BYTES), min(cache.write_buffer_bytes, MOST_BYTES))
        stores = ChangelogStores(self._consumer, folder, memory, changelog, self._warnings)
        self.replicas = replicas = Replicas(
            changelog.partitions,
            self.topics.sources_of,
            limits_of(settings),
            self._ends,
            self.wall.now_ms,
            settings.clock.grace_ms,
            max_behind_ms=0,
            engine=Engine(settings.worker.engine),
        )
        replicas.define(self._catalog)
        exact = partial(new_consumer, self._broker, auto_offset_reset="none")
        self._follower = follower = Follower(stores, exact, replicas.changed, replicas.lost, self._hold)
        follower.follow(range(changelog.partitions))
        self._grown()
        life.start("follower", follower.run())
        life.start("ends", self._ends.run())
        life.start("topics", self.topics.run(follower.begin_anew, self._grown))

    def close(self) -> None:
        """Close the stores."""
        if self._follower is not None:
            self._follower.close()

    def snapshots(self) -> Snapshots:
        """Of what is followed."""
        return Snapshots(self._hold, lambda: self.replicas, lambda: self._catalog, self.wall.now_ms)

    def not_ready(self) -> list[str]:
        """Why no list could be made now; empty when one could."""
        if self.replicas is None:
            return ["the changelog isn't followed yet"]
        known, partitions = self.replicas.known, range(self.replicas.partitions)
        behind = [each for each in partitions if each not in known or not known[each].stands]
        return [f"partitions are not read to their ends: {', '.join(map(str, behind))}"] if behind else []

    def _defined(self, rules: RuleSet) -> None:
        feed = self.audiences
        self._catalog = Catalog(
            {key.decode(): dict(each) for key, each in feed.versions.items()},
            {key.decode(): version for key, version in feed.wanted.items()},
            max_samples=self._settings.state.max_samples,
        )
        if self.replicas is not None:
            self.replicas.define(self._catalog)

    def _grown(self) -> None:
        """The source topics have other partitions than before."""
        partitions = range(self.topics.changelog.partitions)
        self._ends.sources = frozenset(tp for each in partitions for tp in self.topics.sources_of(each))

    def _ends_told(self) -> None:
        if self.replicas is not None:
            self.replicas.ends_told()

    def _consumer(self) -> AIOKafkaConsumer:
        return new_consumer(self._broker)
