"""Lists on this machine's disk: written once, checked when they are read again, deleted when they are over.

``<folder>/<run id>/<list id>/part-00000 …`` has the rows of each partition, ``users`` who is in the list,
``list.json`` says what they are. That is written last, so a list without it is none.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from agents.pushes.contract.push import Push
from agents.pushes.contract.rows import Made
from agents.pushes.contract.spooled import SpooledList, SpooledPart
from agents.pushes.spooled_users import NAME as USERS
from agents.pushes.spooled_users import has_any, users_page

SAID: Final = "list.json"
READ_BYTES: Final = 1 << 20


class SpoolLost(Exception):
    """The list isn't here, or isn't as it was written; the text says which."""


class _Part(msgspec.Struct):
    partition: int
    members: int
    rows: int
    bytes: int
    sha256: str


class _Said(msgspec.Struct):
    """``list.json``."""

    run: str
    name: str
    """Id of the list."""
    instant_ms: int
    header: bytes
    is_framed: bool
    parts: list[_Part]
    by_id: dict[str, int]
    without: dict[str, int]
    refused: dict[str, int]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Said).decode


class SpoolWriter:
    """Writes one list, partition by partition, in order. ``close`` it if it isn't finished."""

    def __init__(self, folder: Path, run_id: str, list_id: str) -> None:
        """Raises OSError."""
        self._run_id = run_id
        self._list_id = list_id
        self._path = folder / run_id / list_id
        self._path.mkdir(parents=True)
        self._parts: list[_Part] = []
        self._file: BinaryIO | None = None
        self._users = (self._path / USERS).open("xb")
        self._digest = hashlib.sha256()
        self.is_counted_only = False
        """The list has too many ids already, and only their number is still asked for."""
        self.by_id: Counter[str] = Counter()
        self.without: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    @property
    def rows(self) -> int:
        """So far."""
        return sum(each.rows for each in self._parts)

    @property
    def members(self) -> int:
        return sum(each.members for each in self._parts)

    @property
    def size_bytes(self) -> int:
        return sum(each.bytes for each in self._parts)

    def begin_part(self, partition: int) -> None:
        """Raises OSError."""
        self.end_part()
        self._file = (self._path / part_name(partition)).open("xb")
        self._digest = hashlib.sha256()
        self._parts.append(_Part(partition, 0, 0, 0, ""))

    def add(self, made: Made, users: Sequence[str]) -> None:
        """Rows of these users; ``is_counted_only``: they aren't written. Raises OSError."""
        assert self._file is not None
        part = self._parts[-1]
        if not self.is_counted_only:
            self._file.write(made.data)
            self._digest.update(made.data)
            self._users.write(users_page(users))
        part.members += len(users)
        part.rows += made.rows
        part.bytes += len(made.data)
        self.by_id.update(made.by_id)
        self.without.update(made.without)
        self.refused.update(made.refused)

    def end_part(self) -> None:
        """Raises OSError."""
        if self._file is not None:
            _sync(self._file)
            self._file = None
            self._parts[-1].sha256 = self._digest.hexdigest()

    def finish(self, instant_ms: int, header: bytes, is_framed: bool) -> None:
        """From here on the list is there, whatever happens to the process. Raises OSError."""
        self.end_part()
        _sync(self._users)
        said = _Said(
            self._run_id,
            self._list_id,
            instant_ms,
            header,
            is_framed,
            self._parts,
            dict(self.by_id),
            dict(self.without),
            dict(self.refused),
        )
        _say(self._path, said)

    def close(self) -> None:
        self._users.close()
        if self._file is not None:
            self._file.close()
            self._file = None


class Spools:
    """All lists of this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, run_id: str, list_id: str) -> SpoolWriter:
        """A new list of a run; what is left of earlier ones goes. Raises OSError."""
        self.erase(run_id)
        return SpoolWriter(self._folder, run_id, list_id)

    def read(self, run_id: str, list_id: str, push: Push) -> SpooledList:
        """A list that was finished, every byte checked. Raises SpoolLost."""
        path = self._folder / run_id / list_id
        try:
            said = _decode((path / SAID).read_bytes())
        except FileNotFoundError:
            raise SpoolLost("the spool of the list isn't on this machine") from None
        except (OSError, msgspec.MsgspecError) as error:
            raise SpoolLost(f"the spool of the list can't be read: {error}") from None
        for each in said.parts:
            if _digest_of(path / part_name(each.partition)) != each.sha256:
                raise SpoolLost(f"the spool of partition {each.partition} isn't as it was written")
        parts = tuple(
            SpooledPart(
                each.partition,
                path / part_name(each.partition),
                each.members,
                each.rows,
                each.bytes,
                each.sha256,
            )
            for each in said.parts
        )
        return SpooledList(
            run_id,
            list_id,
            push,
            said.instant_ms,
            said.header,
            said.is_framed,
            parts,
            said.by_id,
            said.without,
        )

    def take_over(self, before: SpooledList, run_id: str, list_id: str) -> None:
        """The same rows as another run's list. Raises OSError, SpoolLost."""
        path = self._folder / run_id / list_id
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        for each in before.parts:
            os.link(each.path, path / each.path.name)
        if before.parts:
            os.link(before.parts[0].path.parent / USERS, path / USERS)
        try:
            said = _decode((before.parts[0].path.parent / SAID).read_bytes() if before.parts else b"")
        except (OSError, msgspec.MsgspecError) as error:
            raise SpoolLost(f"the spool of the list can't be read: {error}") from None
        said.run, said.name = run_id, list_id
        _say(path, said)

    def has_any(self, spooled: SpooledList, erased: Collection[bytes]) -> bool:
        """Whether somebody with one of these pseudonyms is in a list."""
        path = self._folder / spooled.run_id / spooled.list_id / USERS
        return has_any(path, spooled.push.project, erased)

    def erase(self, run_id: str) -> None:
        """All lists of a run."""
        shutil.rmtree(self._folder / run_id, ignore_errors=True)

    def keep(self, run_ids: Iterable[str]) -> None:
        """Erase the lists of all other runs."""
        kept = frozenset(run_ids)
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                if path.name not in kept:
                    shutil.rmtree(path, ignore_errors=True)

    def make_folder(self) -> None:
        """Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)


def part_name(partition: int) -> str:
    return f"part-{partition:05}"


def _digest_of(path: Path) -> str:
    """Empty: it can't be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(READ_BYTES):
                digest.update(chunk)
    except OSError:
        return ""
    return digest.hexdigest()


def _sync(file: BinaryIO) -> None:
    """Bring it to the disk, and close it."""
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _say(path: Path, said: _Said) -> None:
    unfinished = path / f"{SAID}.unfinished"
    with unfinished.open("wb") as file:
        file.write(_encode(said))
        _sync(file)
    unfinished.rename(path / SAID)
    for each in (path, path.parent, path.parent.parent):
        folder = os.open(each, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
