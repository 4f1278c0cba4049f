"""Whoever leads: runs are cancelled beside others, and a cancellation isn't lost with a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from agents.deliver.definitions.destination import RetryPolicy
from agents.kafka.consumed import Consumed
from agents.pushes.contract.parse import load_pushes
from agents.pushes.contract.push import Push
from agents.pushes.contract.target import QueueName
from agents.pushes.engine.book import Book
from agents.pushes.engine.leader import Leader, kept_lists
from agents.pushes.engine.runner import Runner
from agents.pushes.published import Pushes
from agents.pushes.runs import Ledger, Request, Run, State, record_of
from agents.pushes.spool import Spools
from agents.pushes.targets.files import FilesTarget
from agents.pushes.targets.object_store import ObjectStorage
from agents.pushes.targets.places import ObjectStorePlace
from agents.registry.leading import NotedRecord

NOW_MS = 1_790_000_000_000
DEADLINE_S = 30.0
PUSHES = """
pushes:
  - {name: p, audience: a, connection: c, enabled: false}
  - {name: q, audience: a, connection: c}
"""
DELIVERING = Run(
    id="r1",
    project="default",
    push="p",
    generation=1,
    version=1,
    definition=msgspec.Raw(b'{"name": "p", "audience": "a", "connection": "c"}'),
    trigger="manual",
    due_ms=NOW_MS,
    state="delivering",
    created_ms=NOW_MS,
    changed_ms=NOW_MS,
    list_id="r1-1",
    lists=1,
    instant_ms=NOW_MS,
    started_ms=NOW_MS,
)
CANCEL = Request("c", "cancel", "default", "p", NOW_MS, "r1")


class Broken(FilesTarget):
    """Fails in a way that nobody thought of."""

    async def find(self, *_: Any) -> Any:
        raise RuntimeError("a secret")


class Lab:
    """A ledger with a run that was being delivered when its process ended, and another push that is due."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[NotedRecord] = [record_of(DELIVERING)]
        self.target: type[FilesTarget] = FilesTarget
        registry = Pushes("t")
        changes = registry.plan(load_pushes([("p", PUSHES)]), NOW_MS)
        self.pushes = {each.published.definition.key: each.published for each in changes}
        self.spools = Spools(folder / "spools")
        self.spools.make_folder()
        (folder / "out").mkdir()

    def read(self) -> Book:
        """As whoever leads next reads it."""
        ledger = Ledger("t")
        for offset, (key, value) in enumerate(self.written):
            assert ledger.take(Consumed("t", 0, offset, 0, key, value, []))

        async def write(records: Sequence[NotedRecord]) -> None:
            self.written += records

        return Book(ledger, write, lambda: NOW_MS)

    def ask(self, request: Request) -> None:
        self.written.append(record_of(request))

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        book, retry = self.read(), RetryPolicy(for_ms=0, first_ms=1, most_ms=1)
        no_snapshots = cast(Any, None)
        runner = Runner(book, self, no_snapshots, self.spools, lambda project, at_ms: set(), retry)
        leader = Leader(
            book,
            lambda: self.pushes,
            lambda: list(self.read().requests.values()),
            runner,
            self,
            self.spools,
            {"kafka": 1, "module": 1, "other": 1},
            history=10,
            spool_ms=0,
        )
        task = asyncio.create_task(leader.run())
        try:
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, is_so: Callable[[Book], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not is_so(self.read()):
                await asyncio.sleep(0.02)

    def queue_of(self, push: Push) -> QueueName:
        return "other"

    async def of(self, push: Push) -> FilesTarget:
        return self.target(ObjectStorage(ObjectStorePlace("file", str(self.folder / "out"))), push.name)


def test_of_each_push_the_list_of_the_last_run_that_failed_is_kept_and_those_that_are_pushed_again() -> None:
    def run(id: str, state: State, ended_ms: int | None, push: str = "p", of: str = "") -> Run:
        return replace(DELIVERING, id=id, state=state, ended_ms=ended_ms, push=push, of=of)

    failed = [run(f"f{hour}", "failed", NOW_MS + hour) for hour in range(4)]
    others = [run("g", "delivered", NOW_MS + 9), run("old", "failed", NOW_MS - 1, push="q")]
    assert kept_lists([*failed, *others], NOW_MS) == {"f3"}
    again = run("again", "queued", None, of="f1")
    assert kept_lists([again, *others, *failed], NOW_MS) == {"f3", "f1", "again"}


def is_planned(book: Book) -> bool:
    return [each.state for each in book.index.of_push("default/q")] == ["queued"]


async def test_a_target_that_does_not_answer_holds_up_no_other_push_and_loses_no_cancellation(
    tmp_path: Path,
) -> None:
    lab = Lab(tmp_path)
    due = lab.pushes.pop("default/q")
    asked = []

    class Silent(FilesTarget):
        async def find(self, *_: Any) -> Any:
            asked.append(self)
            await asyncio.Event().wait()

    lab.target = Silent
    async with lab.leading():
        await lab.until(lambda _: len(asked) == 1)  # by the run, which goes on
        lab.ask(CANCEL)
        await lab.until(lambda _: len(asked) == 2)  # because it is cancelled
        lab.pushes["default/q"] = due
        await lab.until(is_planned)
        assert lab.read().runs["r1"].state == "delivering"
    del lab.pushes["default/q"]
    lab.written = [each for each in lab.written if b"/q/" not in each[0]]
    lab.target = FilesTarget
    async with lab.leading():
        await lab.until(lambda book: book.runs["r1"].state == "cancelled" and not book.requests)


async def test_a_bug_in_a_target_that_is_asked_fails_its_run_alone(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    del lab.pushes["default/q"]
    lab.target = Broken
    async with lab.leading():
        await lab.until(lambda book: book.runs["r1"].code == "bug")
    assert "secret" not in lab.read().runs["r1"].reason
