"""A task that fails or ends stops the process with its reason; an orderly end has none."""

from __future__ import annotations

import asyncio

import pytest

from app.supervisor import Supervisor, TaskEnded


class Broken(Exception):
    pass


class Life:
    """A supervisor, and what it told."""

    def __init__(self) -> None:
        self.told: list[BaseException] = []
        self.tasks = Supervisor(self.told.append)


async def fail() -> None:
    raise Broken


async def end() -> None:
    pass


async def last() -> None:
    await asyncio.Event().wait()


async def test_a_task_that_fails_stops_the_process_with_its_error() -> None:
    life = Life()
    life.tasks.start("other", last())
    life.tasks.start("broken", fail())
    await asyncio.wait_for(life.tasks.stopping.wait(), 30)
    assert isinstance(life.tasks.failure, Broken)
    assert life.told == [life.tasks.failure]
    await asyncio.wait_for(life.tasks.end(), 30)


async def test_a_task_that_only_ends_stops_the_process_and_is_named() -> None:
    life = Life()
    life.tasks.start("keys", end())
    await asyncio.wait_for(life.tasks.stopping.wait(), 30)
    assert isinstance(life.tasks.failure, TaskEnded)
    assert "'keys'" in str(life.tasks.failure)


async def test_an_orderly_end_is_no_failure() -> None:
    life = Life()
    life.tasks.start("last", last())
    life.tasks.stop()
    life.tasks.start("ends", end())
    await life.tasks.end()
    assert (life.tasks.failure, life.told) == (None, [])


async def test_the_first_of_several_reasons_counts() -> None:
    life = Life()
    first = Broken()
    life.tasks.fail(first)
    life.tasks.fail(TaskEnded())
    assert life.told == [first]
    assert life.tasks.failure is first


async def test_work_is_waited_for_unless_the_process_stops() -> None:
    life = Life()

    async def answer() -> int:
        return 7

    assert await life.tasks.unless_stopped(answer()) == 7
    with pytest.raises(Broken):
        await life.tasks.unless_stopped(fail())
    waiting = asyncio.create_task(life.tasks.unless_stopped(last()))
    await asyncio.sleep(0)
    life.tasks.stop()
    assert await asyncio.wait_for(waiting, 30) is None


async def test_work_that_is_waited_for_ends_with_the_reason_of_the_process() -> None:
    life = Life()
    cleaned = False

    async def work() -> None:
        nonlocal cleaned
        try:
            await last()
        finally:
            cleaned = True

    waiting = asyncio.create_task(life.tasks.unless_stopped(work()))
    await asyncio.sleep(0)
    life.tasks.start("broken", fail())
    with pytest.raises(Broken):
        await asyncio.wait_for(waiting, 30)
    assert cleaned
