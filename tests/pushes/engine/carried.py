"""Runs to an SFTP server that tells a receiver, in processes that kill themselves at one point after another.

``python -m tests.pushes.engine.carried ASKED``: a file with an ``Asked``. For each point one forked process
begins a run and kills itself there, and another one carries it on, with the first one's list or without it.
Lists are of given members, because nothing is followed here; the ledger is a file.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, cast

import aiohttp
import asyncssh
import msgspec

from agents.deliver.definitions.destination import RetryPolicy
from agents.pushes.content.rows import Rows
from agents.pushes.contract.member import Member
from agents.pushes.contract.push import Push
from agents.pushes.contract.spooled import SpooledList
from agents.pushes.contract.target import QueueName
from agents.pushes.engine import delivering
from agents.pushes.engine.book import Book
from agents.pushes.engine.runner import Runner
from agents.pushes.runs import Ledger, Run, list_id
from agents.pushes.spool import Spools
from agents.pushes.targets.files import FilesTarget
from agents.pushes.targets.notification import Notifier
from agents.pushes.targets.places import Receiver, SftpPlace
from agents.pushes.targets.sftp import SftpStorage
from agents.registry.leading import NotedRecord

DEFINITION = b'{"name": "p", "audience": "a", "connection": "c"}'
INSTANT_MS = 1_790_000_000_000
MEMBERS = 5
WRITES = 2
"""Of the list's file; those of small files are between others."""
UNANSWERED = "unanswered"
"""The receiver has the notification, and kills the process instead of an answer."""
POINTS: tuple[tuple[str, Any, str], ...] = (
    ("write", asyncssh.SFTPClientFile, "write"),
    ("rename", asyncssh.SFTPClient, "posix_rename"),
    ("create", asyncssh.SFTPClient, "rename"),
    ("answer", aiohttp.ClientResponse, "start"),
)
"""After each of these calls a process may die; of ``note``, too: a record of the ledger."""


class Asked(msgspec.Struct):
    folder: str
    port: int
    user: str
    password: str
    fingerprint: str
    receiver: str
    """The URL. The header ``x-process`` says who tells it, and so whom it may kill."""


class Ended(msgspec.Struct):
    """One point: where the process died, and the run as another one left it."""

    died_at: str
    is_wiped: bool
    run: Run


class Steps:
    """Dies at the ``last`` point."""

    def __init__(self, last: int, note: Path) -> None:
        self.last = last
        self.note = note
        self.names: list[str] = []

    def passed(self, name: str) -> None:
        if name == "write" and self.names.count(name) == WRITES:
            return
        self.names.append(name)
        if len(self.names) == self.last:
            self.note.write_text(f"{name} {self.names.count(name)}")
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, name: str, kind: Any, method: str) -> None:
        called: Callable[..., Any] = getattr(kind, method)

        @wraps(called)
        async def then(*given: Any, **named: Any) -> Any:
            found = await called(*given, **named)
            self.passed(name)
            return found

        setattr(kind, method, then)


class GivenLists(Runner):
    """Of members that differ from list to list."""

    async def _new_list(self, run_id: str, push: Push) -> SpooledList:
        number = self._book.runs[run_id].lists + 1
        name = list_id(run_id, number)
        await self._book.change(run_id, state="snapshot", lists=number, list_id=name, instant_ms=None)
        rows, writer = Rows(push.content), self._spools.begin(run_id, name)
        members = members_of(number)
        writer.begin_part(0)
        writer.add(rows.make(members), [each.user_id for each in members])
        writer.finish(INSTANT_MS + number, rows.header, rows.is_framed)
        counts = {"members": len(members), "rows": len(members), "instant_ms": INSTANT_MS + number}
        await self._book.change(run_id, state="spooled", **counts)
        return self._spools.read(run_id, name, push)


def members_of(number: int) -> list[Member]:
    """Of the ``number``th list of a run."""
    return [Member(f"user-{number}-{each}", {}, {}, INSTANT_MS) for each in range(MEMBERS)]


class Server:
    """The ``Targets``."""

    def __init__(self, asked: Asked) -> None:
        self._place = SftpPlace(
            "127.0.0.1",
            asked.user,
            asked.port,
            asked.password,
            fingerprints=(asked.fingerprint,),
            allow_private=True,
        )
        self._receiver = Receiver(asked.receiver, {"x-process": str(os.getpid())}, allow_private=True)

    def queue_of(self, push: Push) -> QueueName:
        return "module"

    async def of(self, push: Push) -> FilesTarget:
        return FilesTarget(SftpStorage(self._place), "lists", "module", Notifier(self._receiver))


class FileLedger:
    """Survives whoever writes it."""

    def __init__(self, path: Path, steps: Steps | None) -> None:
        self._path = path
        self._steps = steps

    def read(self) -> Ledger:
        found = Ledger("t")
        for line in self._path.read_bytes().splitlines():
            found.index.put(msgspec.json.decode(line, type=Run))
        return found

    @property
    def run(self) -> Run:
        """The only one."""
        (run,) = self.read().runs
        return run

    async def write(self, records: Sequence[NotedRecord]) -> None:
        with self._path.open("ab") as file:
            file.write(b"".join(value + b"\n" for _, value in records if value is not None))
        if self._steps is not None:
            self._steps.passed("note")


def carry_out(asked: Asked, folder: Path, run_id: str, steps: Steps | None) -> None:
    spools, ledger = Spools(folder / "lists"), FileLedger(folder / "ledger", steps)
    spools.make_folder()
    if steps is not None:
        for each in POINTS:
            steps.watch(*each)
        raw = msgspec.Raw(DEFINITION)
        run = Run(run_id, "default", "p", 1, 1, raw, "schedule", INSTANT_MS, "queued", INSTANT_MS, INSTANT_MS)
        (folder / "ledger").write_bytes(msgspec.json.encode(run) + b"\n")
    book = Book(ledger.read(), ledger.write, lambda: INSTANT_MS)
    retry = RetryPolicy(for_ms=0, first_ms=1, most_ms=1)
    no_snapshots = cast(Any, None)
    runner = GivenLists(book, Server(asked), no_snapshots, spools, lambda project, instant_ms: (), retry)
    asyncio.run(runner.run(run_id))


def forked(work: Callable[[], None]) -> int:
    """The exit code of a process that does the work."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def sweep(asked: Asked, is_wiped: bool) -> None:
    """Die at the first point, at the second one, until a process comes to its end; then before the answer."""
    last = 1
    while died(asked, f"{last}", last, is_wiped):
        last += 1
    if not died(asked, UNANSWERED, 0, is_wiped):
        sys.exit("the receiver was to kill whoever tells it")


def died(asked: Asked, name: str, last: int, is_wiped: bool) -> bool:
    """Begin a run and die at the ``last`` point, carry it on; whether the process lived long enough for that.
    0: the receiver kills it."""
    run_id = f"{'wiped' if is_wiped else 'kept'}-{name}"
    folder = Path(asked.folder) / run_id
    folder.mkdir()
    told = folder / "died"
    code = forked(lambda: carry_out(asked, folder, run_id, Steps(last, told)))
    if code == 0:
        return False
    if code != -signal.SIGKILL:
        sys.exit(f"a process ended with {code}")
    if is_wiped:
        shutil.rmtree(folder / "lists")
    ledger = FileLedger(folder / "ledger", None)
    if not ledger.run.is_done and forked(lambda: carry_out(asked, folder, run_id, None)):
        sys.exit("a run wasn't carried on")
    ended = Ended(told.read_text() if last else UNANSWERED, is_wiped, ledger.run)
    with (Path(asked.folder) / "ended").open("ab") as file:
        file.write(msgspec.json.encode(ended) + b"\n")
    return True


if __name__ == "__main__":
    # Otherwise a slow delivery would note how far it is, and the notes that come later had other numbers.
    delivering.PROGRESS_SECONDS = 600.0  # type: ignore[misc]
    given = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Asked)
    for wiped in (False, True):
        sweep(given, wiped)
