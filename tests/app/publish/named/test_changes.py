"""Destinations, connections and pushes, changed by two processes at once: nobody's change is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agents.connections.parse import load_connections
from agents.deliver.definitions.parse import load_parsed
from agents.kafka.clients import committed_consumer, new_producer
from agents.pushes.contract.parse import load_pushes
from agents.registry.audit import AuditRecord, read_audit
from agents.registry.definitions import Definitions, Published, definition_record
from agents.registry.topic import everything_on, publish
from app.publish.author import Author
from app.publish.lifecycle import Lifecycle
from app.publish.named.changes import deletion, present, publication
from app.publish.named.connections import delete_connections, publish_connections
from app.publish.named.pushes import delete_push, publish_pushes
from app.publish.named.rights import usable_by_command
from app.publish.refused import NotPermitted, NotPublished, StillUsed, VersionMoved
from app.publish.topics import DefinitionTopics
from tests.app.publish.test_lifecycle import ANN, fans, settings_of

pytestmark = pytest.mark.broker  # each asks for one by its name

PUSH = "{name: it, audience: fans, connection: lake, content: {format: kafka}, target: {topic: t}}"
KINDS = ("destination", "connection", "push")


Process = Callable[[], DefinitionTopics]


@pytest.fixture(params=["kafka", "embedded"])
def process(request: pytest.FixtureRequest, topic_prefix: str, tmp_path: Path) -> Process:
    """What one process has; each call another one. With transactions, and without."""
    settings = settings_of(request.getfixturevalue(request.param), topic_prefix, tmp_path)
    return lambda: DefinitionTopics(settings)


def defined(kind: str, text: str) -> Any:
    """One definition; ``text`` is what differs."""
    if kind == "push":
        (push,) = load_pushes([("p", f"{{name: it, audience: a, connection: lake, labels: [{text}]}}")])
        return push
    if kind == "connection":
        (connection,) = load_connections([("c", f"{{name: it, kind: kafka, label: {text}, kafka: {{}}}}")])
        return connection
    (parsed,) = load_parsed([("d", f"{{name: it, kind: kafka, label: {text}, kafka: {{topic: t}}}}")])
    return parsed.destination


def registry_of(topics: DefinitionTopics, kind: str) -> Definitions[Any]:
    found: Definitions[Any] = getattr(topics, {"push": "pushes"}.get(kind, f"{kind}s"))
    return found


async def edit(topics: DefinitionTopics, kind: str, text: str, expected: set[int] | None = None) -> int:
    """The version that was made."""
    author = Author(text, "http")
    (change,) = await topics.change(
        registry_of(topics, kind), lambda known: publication(known, [defined(kind, text)], author, expected)
    )
    return change.published.version


async def read(topics: DefinitionTopics, kind: str) -> Published[Any]:
    return present(await topics.read(registry_of(topics, kind)), "it")


@pytest.mark.parametrize("kind", KINDS)
async def test_of_concurrent_edits_each_is_made_or_told_that_another_was(process: Process, kind: str) -> None:
    processes = [process() for _ in range(2)]
    first = processes[0]
    assert await edit(first, kind, "first") == 1

    async def try_edit(number: int) -> int | None:
        """As a client does: it reads, and writes on condition that nobody else wrote."""
        topics = processes[number % 2]
        seen = (await read(topics, kind)).version
        try:
            version = await edit(topics, kind, f"e{number}", {seen})
        except VersionMoved:
            return None
        assert version == seen + 1, "a change that came in between is lost"
        return version

    made = await asyncio.gather(*map(try_edit, range(8)))
    winners = {version: f"e{number}" for number, version in enumerate(made) if version is not None}
    assert sorted(winners) == list(range(2, len(winners) + 2))
    registry = registry_of(first, kind)
    async with committed_consumer(first.broker) as consumer:
        told = [each async for each in read_audit(consumer, first.plan.audit)]
    # Without transactions a change is told after it was made, perhaps after the next one was told.
    versions = sorted(each.version or 0 for each in told if isinstance(each, AuditRecord))
    assert versions == [*range(1, len(winners) + 2)]
    # Who begins to read now sees what those saw who were there, and what compaction leaves.
    last: dict[bytes | None, bytes | None] = {}
    async with committed_consumer(first.broker) as consumer:
        async for record in everything_on(consumer, registry.topic):
            last[record.key] = record.value
    found = await read(process(), kind)
    assert found == await read(first, kind)
    assert found.definition == defined(kind, winners[found.version])
    assert list(last.items()) == [definition_record(found)]


async def test_edits_without_a_condition_are_made_one_after_the_other(process: Process) -> None:
    processes = [process() for _ in range(2)]
    made = await asyncio.gather(*(edit(processes[each % 2], "push", f"e{each}") for each in range(6)))
    assert sorted(made) == [1, 2, 3, 4, 5, 6]
    found = await read(process(), "push")
    assert (found.version, found.definition) == (6, defined("push", f"e{made.index(6)}"))


async def test_what_another_program_wrote_second_doesnt_count_and_is_written_over(
    process: Process,
) -> None:
    """Such as one before this: it knows nothing of the others, and can't be fenced."""
    topics = process()
    await edit(topics, "connection", "first")
    ours = await read(topics, "connection")

    async def intrude(text: str) -> None:
        theirs = Published(defined("connection", text), 2)
        async with new_producer(topics.broker, idempotence=False) as producer:
            await publish(producer, topics.connections.topic, [definition_record(theirs)])

    await edit(topics, "connection", "second", {1})
    await intrude("late")
    assert (await read(process(), "connection")).definition.label == "second"
    assert (await read(topics, "connection")).definition.label == "second"
    assert "stands" in str(topics.connections.unusable[ours.definition.key.encode()])
    assert await edit(topics, "connection", "third", {2}) == 3
    assert not topics.connections.unusable
    assert (await read(process(), "connection")).version == 3


async def test_a_push_finds_the_connection_that_another_process_published_before_it(
    process: Process,
) -> None:
    one, other = process(), process()
    await Lifecycle(one.settings).apply(ANN, [fans()])
    (lake,) = load_connections([("c", "{name: lake, kind: kafka, use: {keys: [team]}, kafka: {}}")])
    (push,) = load_pushes([("p", PUSH)])

    async def publish(key: str | None, *, dry_run: bool = False) -> str:
        (change,) = await publish_pushes(
            other, lambda checks: checks.check_one(push), ANN, usable_by_command(key), dry_run=dry_run
        )
        return change.action

    with pytest.raises(NotPermitted, match="no connection 'lake'"):
        await publish(None)
    await publish_connections(one, [lake], ANN)
    with pytest.raises(NotPermitted, match="no connection 'lake'"):
        await publish("others")
    assert await publish("team", dry_run=True) == "created"
    assert await publish("team") == "created"
    with pytest.raises(StillUsed, match="is used by push 'it'"):
        await delete_connections(one, lambda known: [present(known, "lake", "default")], ANN)
    await delete_push(other, "default", "it", ANN, {1})
    with pytest.raises(NotPublished):
        await delete_push(one, "default", "it", ANN)
    (gone,) = await delete_connections(one, lambda known: [present(known, "lake", "default")], ANN)
    assert (gone.action, gone.published.version) == ("deleted", 2)


async def test_a_connection_isnt_deleted_while_somebody_begins_to_use_it(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Both look at all that is published, so one of the two is refused: the fence is of all topics."""
    settings = settings_of(kafka, topic_prefix, tmp_path)
    one, other = DefinitionTopics(settings), DefinitionTopics(settings)
    await Lifecycle(settings).apply(ANN, [fans()])
    (lake,) = load_connections([("c", "{name: lake, kind: kafka, kafka: {}}")])
    (push,) = load_pushes([("p", PUSH)])
    await publish_connections(one, [lake], ANN)
    await one.change(one.pushes, lambda known: publication(known, [defined("push", "x")], ANN))
    await one.change(one.pushes, lambda known: deletion(known, known.live(), ANN))

    async def outcome(change: Awaitable[object]) -> bool:
        try:
            await change
        except (NotPermitted, StillUsed):
            return False
        return True

    made = await asyncio.gather(
        outcome(publish_pushes(other, lambda checks: checks.check_one(push), ANN, usable_by_command(None))),
        outcome(delete_connections(one, lambda known: [present(known, "lake", "default")], ANN)),
    )
    assert sorted(made) == [False, True]
    last = DefinitionTopics(settings)
    await last.read(last.connections, last.pushes)
    assert (bool(last.connections.live()), bool(last.pushes.live())) == (made[0], made[0])
