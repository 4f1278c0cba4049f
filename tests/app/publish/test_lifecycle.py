"""The life cycle of definitions on brokers: with no worker running, and by several processes at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_consumer, new_producer
from agents.registry.audiences import encode_audience
from agents.registry.audit import AuditRecord, read_audit
from agents.registry.topic import publish
from agents.topics import create_topics
from app.publish.author import Author
from app.publish.lifecycle import Lifecycle, connected_lifecycle
from app.publish.refused import NotHeld, QuotaUsedUp, VersionMoved
from app.settings.tree import Settings, load_settings
from rules.compile.audience import PublishedAudience
from rules.parse.audience import ParsedAudience
from rules.parse.definitions import parse_definitions

ANN = Author("ann", "http")
KEY = b"default/fans"


def settings_of(broker: str, prefix: str, tmp_path: Path) -> Settings:
    return load_settings(
        environ={
            "TURNSTILE_KAFKA__BOOTSTRAP": broker,
            "TURNSTILE_TOPICS__PREFIX": prefix,
            "TURNSTILE_WORKER__APP_ID": prefix,
            "TURNSTILE_WORKER__DATA_DIR": str(tmp_path),
        }
    )


def fans(event: str = "view") -> ParsedAudience:
    (found,), _ = parse_definitions(f"{{id: fans, name: Fans, rule: {{event: {event}}}}}", "new.yaml")
    return found


pytestmark = pytest.mark.broker  # each asks for one by its name


@pytest.fixture(params=["kafka", "embedded"])
def settings(request: pytest.FixtureRequest, topic_prefix: str, tmp_path: Path) -> Settings:
    return settings_of(request.getfixturevalue(request.param), topic_prefix, tmp_path)


async def test_the_whole_life_of_a_definition_with_no_worker_running(settings: Settings) -> None:
    async with connected_lifecycle(settings) as life:
        assert (await life.read()).published == {}
        assert [each.version for each in await life.apply(ANN, [fans()], only_new=True)] == [1]
        assert [each.version for each in await life.edit(ANN, fans("buy"), {KEY: {1}})] == [2]
        with pytest.raises(VersionMoved):
            await life.edit(ANN, fans("other"), {KEY: {1}})
        assert [each.version for each in await life.restore(ANN, "default", "fans", 1)] == [3]
        assert [each.version for each in await life.rebuild(ANN, "default", ["fans"])] == [4]
        with pytest.raises(NotHeld):
            await life.release(ANN, "default", "fans")
        with pytest.raises(NotHeld):
            await life.take_back(ANN, "default", "fans")
        assert [each.version for each in await life.delete(ANN, "default", ["fans"])] == [5]
        registry = await life.read()
    assert list(registry.versions[KEY]) == [1, 2, 3, 4, 5]
    assert registry.published[KEY].deleted
    async with new_consumer(Broker(settings.kafka.bootstrap)) as consumer:
        told = [each async for each in read_audit(consumer, f"{settings.topics.prefix}.audit")]
    actions = [each.action for each in told if isinstance(each, AuditRecord)]
    assert actions == ["created", "changed", "restored", "rebuilt", "deleted"]


async def test_a_topic_of_a_program_before_versions_goes_on(settings: Settings) -> None:
    """Its records have the keys project/id; both kinds of keys are read from now on."""
    broker, topic = Broker(settings.kafka.bootstrap), f"{settings.topics.prefix}.audiences"
    admin = new_admin(broker)
    await admin.start()
    await create_topics(admin, {topic: (1, {"cleanup.policy": "compact"})}, 1)
    await admin.close()
    old = [PublishedAudience(fans(event).audience, version) for version, event in ((3, "a"), (4, "b"))]
    async with new_producer(broker, idempotence=False) as producer:
        await publish(producer, topic, [(KEY, encode_audience(each)) for each in old])
    async with connected_lifecycle(settings) as life:
        assert (await life.read()).published[KEY].version == 4
        assert [each.action for each in await life.apply(ANN, [fans("b")])] == ["unchanged"]
        assert [each.version for each in await life.edit(ANN, fans("c"), {KEY: {4}})] == [5]
        assert [each.version for each in await life.restore(ANN, "default", "fans", 4)] == [6]
        registry = await life.read()
    assert [each.by for each in registry.versions[KEY].values()] == ["", "", "ann", "ann"]
    assert registry.published[KEY].audience == fans("b").audience
    assert (len(registry.found), registry.unusable) == (1, {})


async def test_of_concurrent_edits_each_is_made_or_told_that_another_was(settings: Settings) -> None:
    lives = [Lifecycle(settings) for _ in range(2)]
    await lives[0].apply(ANN, [fans()])

    async def edit(number: int) -> int | None:
        """As a client does: it reads, and writes what it read on condition that nobody else wrote."""
        life = lives[number % 2]
        seen = (await life.read()).published[KEY].version
        try:
            (change,) = await life.edit(Author(f"a{number}", "http"), fans(f"e{number}"), {KEY: {seen}})
        except VersionMoved:
            return None
        return change.version

    made = await asyncio.gather(*(edit(number) for number in range(24)))
    registry = await lives[0].read()
    versions = registry.versions[KEY]
    assert list(versions) == list(range(1, len(versions) + 1))
    winners = {version: f"a{number}" for number, version in enumerate(made) if version is not None}
    assert {version: each.by for version, each in versions.items() if version > 1} == winners
    assert winners
    assert not registry.unusable


async def test_writers_at_once_dont_exceed_the_quota_together(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_of(kafka, topic_prefix, tmp_path)
    audiences = settings.audiences.model_copy(update={"max_per_project": 2})
    settings = settings.model_copy(update={"audiences": audiences})

    async def create(number: int) -> bool:
        text = f"{{id: a{number}, name: A {number}, rule: {{event: view}}}}"
        (wanted,), _ = parse_definitions(text, "new.yaml")
        try:
            await Lifecycle(settings).apply(ANN, [wanted])
        except QuotaUsedUp:
            return False
        return True

    assert await create(0)
    assert sum(await asyncio.gather(*map(create, range(1, 5)))) == 1
    assert len((await Lifecycle(settings).read()).published) == 2
