"""Waiting until versions are ready: by records of progress on a real broker."""

from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console

from agents.backfill.progress.progress import (
    Progress,
    ProgressKey,
    State,
    encode_key,
    encode_progress,
    state_of,
)
from agents.kafka.clients import new_admin, new_producer
from agents.topics import create_topics
from app.commands.authoring.audiences.following import follow as following
from app.commands.authoring.audiences.following.bars import Bars, Lines
from app.commands.authoring.audiences.following.follow import Followed, follow
from app.commands.authoring.audiences.following.progress_text import Awaited, held_text, state_text
from app.kafka.configured import broker_of, plan_of
from app.settings.tree import Settings, load_settings

KEEN = Awaited("default", "keen", 2)
VIP = Awaited("default", "vip", 1)


@pytest.fixture
def settings(broker: str, topic_prefix: str) -> Settings:
    environ = {
        "TURNSTILE_KAFKA__BOOTSTRAP": broker,
        "TURNSTILE_TOPICS__PREFIX": topic_prefix,
        "TURNSTILE_TOPICS__PARTITIONS": "2",
        "TURNSTILE_WORKER__APP_ID": topic_prefix,
    }
    return load_settings(environ=environ)


async def make_topic(settings: Settings) -> None:
    admin = new_admin(broker_of(settings))
    await admin.start()
    await create_topics(admin, {plan_of(settings).progress: (1, {"cleanup.policy": "compact"})}, 1)
    await admin.close()


async def tell(settings: Settings, awaited: Awaited, *progress: Progress) -> None:
    """One record for each partition."""
    async with new_producer(broker_of(settings), idempotence=False) as producer:
        for partition, each in enumerate(progress):
            key = encode_key(ProgressKey(*awaited, partition))
            await producer.send_and_wait(plan_of(settings).progress, encode_progress(each), key)


async def followed(settings: Settings, *awaited: Awaited, seconds: float | None = 120.0) -> Followed:
    return await follow(settings, awaited, Lines(), seconds)


async def test_it_ends_when_all_are_ready(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    waiting = asyncio.create_task(followed(settings, KEEN, VIP))
    told: list[str] = []
    async with asyncio.timeout(60):
        while len(told) < 2:
            await asyncio.sleep(0.05)
            told += capsys.readouterr().err.splitlines()
    await make_topic(settings)  # as a worker does that starts after it
    await tell(settings, KEEN, Progress("ready", enters=3, exits=1), Progress("replaying", 50, 100))
    await tell(settings, VIP, Progress("ready"), Progress("ready"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 4)
    await tell(settings, KEEN, Progress("ready", enters=3, exits=1), Progress("ready", enters=1, exits=0))
    found = await waiting
    assert found.ending == "ready"
    told += capsys.readouterr().err.splitlines()
    assert told[:2] == [
        "default/keen version 2: waits for its turn",
        "default/vip version 1: waits for its turn",
    ]
    assert "default/keen version 2: reads the history, 75 %" in told
    assert told[-1] == "default/keen version 2: ready; 4 entered, 1 left"


@pytest.mark.parametrize("state", ["held", "failed"])
async def test_it_ends_when_somebody_must_do_something(settings: Settings, state: State) -> None:
    await make_topic(settings)
    await tell(settings, KEEN, *[Progress(state, enters=5, exits=5, members=10)] * 2)
    await tell(settings, VIP, Progress("ready"), Progress("ready"))
    found = await followed(settings, KEEN, VIP)
    assert (found.ending, found.states[KEEN].state) == ("not_ready", state)


async def test_a_held_version_that_was_released_is_waited_for(settings: Settings) -> None:
    await make_topic(settings)
    await tell(settings, KEEN, *[Progress("held", enters=5, exits=5, members=10)] * 2)
    waiting = asyncio.create_task(follow(settings, [KEEN], Lines(), 120.0, released=[KEEN]))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 4)
    await tell(settings, KEEN, *[Progress("ready", enters=5, exits=5, members=10)] * 2)
    assert (await waiting).ending == "ready"


async def test_it_ends_when_a_later_version_was_published(settings: Settings) -> None:
    await make_topic(settings)
    await tell(settings, KEEN, *[Progress("replaying", 1, 2)] * 2)
    await tell(settings, KEEN._replace(version=3), Progress("pending"))
    found = await followed(settings, KEEN)
    assert (found.ending, found.overtaken) == ("not_ready", {KEEN})


async def test_it_ends_when_the_time_is_over(settings: Settings) -> None:
    assert (await followed(settings, KEEN, seconds=1.0)).ending == "timeout"


async def test_it_ends_when_no_worker_runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "NO_WORKER_SECONDS", 3.0)
    assert (await followed(settings, KEEN)).ending == "no_worker"


def test_a_bar_for_each_version_is_drawn_on_a_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None, emoji=False)
    states = {
        KEEN: state_of({0: Progress("replaying", 50, 100)}, 1),
        Awaited("default", "x\x1b[2J", 1): state_of({}, 1),
    }
    with Bars(console) as bars:
        bars.show(states)
    drawn = out.getvalue()
    assert "default/keen version 2" in drawn
    assert "reads the history, 50 %" in drawn
    assert "x\\x1b[2J version 1" in drawn


def test_states_read_as_sentences() -> None:
    cut = Progress("cut", enters=1200, exits=0, history_from_ms=1_764_000_000_000)
    assert state_text(state_of({0: cut, 1: Progress("ready", enters=1, exits=1)}, 2)) == (
        "decides in 2 of 2 partitions, looks at their rows; 1,201 entered, 1 left; "
        "counts from 2025-11-24T16:00:00.000Z on"
    )
    assert state_text(state_of({0: Progress("failed", reason="the disk is full")}, 2)) == (
        "failed; the disk is full"
    )
    # A new audience is cut without counting: who entered isn't known here, and not none.
    assert state_text(state_of({0: Progress("ready")}, 1)) == "ready"
    assert state_text(state_of({0: Progress("ready", enters=0, exits=0, members=5)}, 1)) == (
        "ready; 0 entered, 0 left"
    )
    assert state_text(state_of({0: Progress("replaying", 999, 1000)}, 1)) == "reads the history, 99 %"


def test_a_held_version_is_told_with_counts_and_the_commands() -> None:
    held = state_of({0: Progress("held", enters=10, exits=30, members=100)}, 1)
    assert held_text(Awaited("shop", "keen", 3), held) == (
        "shop/keen version 3 is held, because it changes too much (audiences.max_change): "
        "10 would enter, 30 would leave of 100 members\n"
        "  the version before it decides until somebody says what is to be done:\n"
        "  turnstile audiences release keen --project shop    lets it change them\n"
        "  turnstile audiences take-back keen --project shop  goes back to the version before"
    )
