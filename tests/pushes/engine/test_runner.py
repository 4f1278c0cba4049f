"""Runs from a spool to a folder of files: failures say why, and a list that failed is pushed again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from aiokafka.errors import ProducerFenced

from agents.deliver.definitions.destination import RetryPolicy
from agents.pushes.content.rows import Rows
from agents.pushes.contract.member import Member
from agents.pushes.contract.parse import load_published
from agents.pushes.contract.push import Push
from agents.pushes.contract.target import QueueName
from agents.pushes.engine.book import Book
from agents.pushes.engine.runner import Runner
from agents.pushes.runs import Ledger, Run, list_id
from agents.pushes.spool import Spools
from agents.pushes.targets.files import FilesTarget
from agents.pushes.targets.object_store import ObjectStorage
from agents.pushes.targets.places import ObjectStorePlace
from agents.registry.leading import NotedRecord
from tables.codec import row_key
from tables.erased import pseudonym

DEFINITION = b'{"name": "p", "audience": "a", "connection": "c"}'
NOW_MS = 1_790_000_000_000


class Folder:
    """Targets in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def queue_of(self, push: Push) -> QueueName:
        return "other"

    async def of(self, push: Push) -> FilesTarget:
        return FilesTarget(ObjectStorage(ObjectStorePlace("file", str(self.folder))), push.name)

    def files(self) -> list[str]:
        return sorted(each.name for each in self.folder.rglob("*") if each.is_file())

    def lists(self) -> list[str]:
        return [each for each in self.files() if each.endswith(".csv")]


class Lab:
    """Runs that are spooled already. ``erased``: users who were erased just now. ``is_fenced``: another one
    leads by now."""

    def __init__(self, folder: Path) -> None:
        self.written: list[NotedRecord] = []
        self.spools = Spools(folder / "spools")
        self.spools.make_folder()
        self.targets = Folder(folder / "out")
        self.erased: list[str] = []
        self.is_fenced = False

        async def write(records: Sequence[NotedRecord]) -> None:
            if self.is_fenced:
                raise ProducerFenced
            self.written += records

        self.book = Book(Ledger("t"), write, lambda: NOW_MS)
        no_snapshots = cast(Any, None)  # whoever needs a new list fails here
        self.runner = Runner(
            self.book,
            self.targets,
            no_snapshots,
            self.spools,
            lambda project, instant_ms: {pseudonym(row_key(project, each)) for each in self.erased},
            RetryPolicy(for_ms=0, first_ms=1, most_ms=1),
        )

    def spooled(self, name: str, users: int, state: Any = "spooled") -> Run:
        push = load_published(DEFINITION.decode(), "t")
        writer, rows = self.spools.begin(name, list_id(name, 1)), Rows(push.content)
        for partition in range(2):
            writer.begin_part(partition)
            members = [Member(f"u{partition}-{each}", {}, {}, NOW_MS) for each in range(users)]
            writer.add(rows.make(members), [each.user_id for each in members])
        writer.finish(NOW_MS, rows.header, rows.is_framed)
        counts = {"members": 2 * users, "rows": 2 * users, "instant_ms": NOW_MS, "lists": 1}
        return self.noted(name, state, list_id=list_id(name, 1), **counts)

    def noted(self, name: str, state: Any, **more: Any) -> Run:
        definition = msgspec.Raw(DEFINITION)
        run = Run(name, "default", "p", 1, 1, definition, "schedule", NOW_MS, state, NOW_MS, NOW_MS, **more)
        asyncio.run(self.book.note([run]))
        return run

    def carry_out(self, run: Run) -> Run:
        asyncio.run(self.runner.run(run.id))
        return self.book.runs[run.id]


def test_a_spooled_list_is_delivered_and_its_spool_goes(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.targets.folder.mkdir()
    run = lab.carry_out(lab.spooled("r1", 3))
    assert (run.state, run.delivered_rows, run.attempts) == ("delivered", 6, 1)
    assert lab.targets.lists() == ["p-r1-1.csv"]
    assert not (tmp_path / "spools" / "r1").exists()


def test_a_run_that_fails_keeps_its_list_and_is_pushed_again_with_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.targets.folder.write_text("in the way")
    failed = lab.carry_out(lab.spooled("r1", 2))
    assert failed.state == "failed"
    assert failed.reason
    lab.targets.folder.unlink()
    lab.targets.folder.mkdir()
    again = lab.carry_out(lab.noted("r2", "queued", of="r1"))
    assert (again.state, again.rows, again.instant_ms) == ("delivered", 4, failed.instant_ms)
    assert "it is the list of run r1" in again.told[0]
    assert lab.targets.lists() == ["p-r2-1.csv"]


def test_a_list_that_is_not_as_it_was_written_is_not_delivered(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.targets.folder.mkdir()
    run = lab.spooled("r1", 2)
    (part, *_) = (tmp_path / "spools" / "r1").rglob("part-*")
    part.write_bytes(part.read_bytes()[:-1])
    ended = asyncio.run(given_up(lab, run))
    assert "isn't as it was written" in ended.told[0]
    assert lab.targets.lists() == []


def test_a_list_from_before_an_erasure_is_not_delivered(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.targets.folder.mkdir()
    lab.erased = ["u1-1"]
    ended = asyncio.run(given_up(lab, lab.spooled("r1", 2)))
    assert "a user in the list was erased since" in ended.told[0]
    assert lab.targets.lists() == []


def test_an_erasure_of_somebody_else_takes_nothing_from_a_list(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.targets.folder.mkdir()
    lab.erased = ["u1-9", "somebody"]
    assert lab.carry_out(lab.spooled("r1", 2)).state == "delivered"


def test_a_user_erased_while_a_list_is_delivered_is_in_no_list(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.targets.folder.mkdir()
    run = lab.spooled("r1", 2)

    def erase() -> None:
        lab.erased = ["u0-0"]

    with once_uploaded(erase):
        ended = asyncio.run(given_up(lab, run))
    assert "a user in the list was erased since, and nothing of the list is visible" in ended.told[-1]
    assert lab.targets.files() == ["_DECIDED-r1-1"]


def test_a_list_of_a_process_that_leads_no_more_never_appears(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.targets.folder.mkdir()
    run = lab.spooled("r1", 2)

    def fence() -> None:
        lab.is_fenced = True

    with once_uploaded(fence), pytest.raises(ProducerFenced):
        lab.carry_out(run)
    assert lab.targets.files() == ["p-r1-1.csv"]


@contextmanager
def once_uploaded(do: Callable[[], None]) -> Iterator[None]:
    """When the file of a list lies there, before anything says that it is whole."""
    put = ObjectStorage.put

    async def then(self: ObjectStorage, path: str, pieces: Any) -> None:
        await put(self, path, pieces)
        if path.endswith(".csv"):
            do()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ObjectStorage, "put", then)
        yield


async def given_up(lab: Lab, run: Run) -> Run:
    """A run that asks for a new list, up to there."""
    running = asyncio.create_task(lab.runner.run(run.id))
    await asyncio.wait([running])
    assert isinstance(running.exception(), AttributeError)  # there are no snapshots here
    return lab.book.runs[run.id]


def test_a_cancelled_run_leaves_nothing_unless_its_target_has_the_list(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.targets.folder.mkdir()
    before = lab.spooled("r1", 2)
    asyncio.run(lab.runner.stop(before.id))
    assert lab.book.runs["r1"].state == "cancelled"
    after = lab.carry_out(lab.spooled("r2", 2))
    asyncio.run(lab.book.change(after.id, state="delivering"))
    asyncio.run(lab.runner.stop(after.id))
    assert lab.book.runs["r2"].state == "delivered"


def test_a_bug_in_a_target_fails_its_run_alone(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.targets.folder.mkdir()
    run = lab.spooled("r1", 1)

    class Broken(FilesTarget):
        async def deliver(self, *_: Any) -> Any:
            raise RuntimeError("a secret")

    async def broken(push: Push) -> FilesTarget:
        place = ObjectStorePlace("file", str(lab.targets.folder))
        return Broken(ObjectStorage(place), push.name)

    lab.targets.of = broken  # type: ignore[method-assign]
    failed = lab.carry_out(run)
    assert (failed.state, failed.code) == ("failed", "bug")
    assert "secret" not in failed.reason
