"""A list as a file: the file, its manifest, ``_SUCCESS``, then the notification; in this order.

Each name appears when its content is whole, not before (``Storage.put``). All files of a run lie in a folder
that is the run's. A list that was given up leaves ``_ABANDONED-<list>``, so that a process that still
delivers it doesn't make it whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from agents.pushes.contract.push import Push
from agents.pushes.contract.spooled import SpooledList
from agents.pushes.contract.target import Delivered, Progress, QueueName, TargetRefused
from agents.pushes.targets.manifest import (
    MANIFEST,
    SUCCESS,
    Manifest,
    Success,
    encode,
    manifest_of,
    read_manifest,
    read_success,
)
from agents.pushes.targets.notification import Notifier
from agents.pushes.targets.stream import Written, pieces_of

ABANDONED: Final = "_ABANDONED-"
ENDINGS: Final = {"csv": ".csv", "jsonl": ".jsonl"}


class Storage(Protocol):
    """Files by their paths, below the folder of a connection.

    All methods raise TargetRefused, TargetUnavailable.
    """

    async def put(self, path: str, pieces: Callable[[], Iterator[bytes]]) -> None:
        """Write a file. It appears under its name when it is whole, in place of what was there. ``pieces``
        are made in another thread."""
        ...

    async def get(self, path: str) -> bytes | None:
        """A small file; None: there is none."""
        ...

    def place(self, path: str) -> str:
        """The file for people and for programs that read it, without secrets."""
        ...

    async def probe(self) -> None:
        """Write a small file, and remove it where that is allowed: whether files could be written now."""
        ...

    async def close(self) -> None: ...


class FilesTarget:
    """The ``Target`` of one push. ``folder``: below which the folders of its runs are."""

    def __init__(
        self, storage: Storage, folder: str, queue: QueueName = "other", notifier: Notifier | None = None
    ) -> None:
        self._storage = storage
        self._folder = folder.strip("/")
        self._notifier = notifier
        self.queue: QueueName = queue

    async def deliver(self, spooled: SpooledList, progress: Progress) -> Delivered:
        """Raises TargetRefused, TargetUnavailable. What an earlier call made whole is only told once more."""
        push, run_id = spooled.push, spooled.run_id
        manifest = await self._found(push, run_id, spooled.list_id)
        if manifest is None:
            manifest = await self._write(spooled, progress)
        progress(manifest.rows)
        return await self._told(push, manifest)

    async def find(self, push: Push, run_id: str, list_id: str) -> Delivered | None:
        """What an earlier ``deliver`` made whole. Otherwise the list is given up."""
        manifest = await self._found(push, run_id, list_id)
        if manifest is None:
            await self._put(self._path(push, run_id, ABANDONED + list_id), b"")
            manifest = await self._found(push, run_id, list_id)  # made whole meanwhile
        return None if manifest is None else await self._told(push, manifest)

    async def close(self) -> None:
        await self._storage.close()

    async def _write(self, spooled: SpooledList, progress: Progress) -> Manifest:
        push, run_id = spooled.push, spooled.run_id
        name = file_name(spooled)
        written = Written()

        def pieces() -> Iterator[bytes]:
            written.bytes, written.sha256 = 0, ""
            return pieces_of(spooled, written, progress)

        await self._storage.put(self._path(push, run_id, name), pieces)
        manifest = manifest_of(spooled, name, written)
        data = encode(manifest)
        await self._refuse_abandoned(spooled)
        await self._put(self._path(push, run_id, MANIFEST), data)
        await self._refuse_abandoned(spooled)
        success = Success(spooled.list_id, hashlib.sha256(data).hexdigest())
        await self._put(self._path(push, run_id, SUCCESS), encode(success))
        return manifest

    async def _refuse_abandoned(self, spooled: SpooledList) -> None:
        path = self._path(spooled.push, spooled.run_id, ABANDONED + spooled.list_id)
        if await self._storage.get(path) is not None:
            raise TargetRefused("another process gave this list up, and began the run anew")

    async def _found(self, push: Push, run_id: str, list_id: str) -> Manifest | None:
        """The manifest of a list that is whole."""
        mark = await self._storage.get(self._path(push, run_id, SUCCESS))
        success = None if mark is None else read_success(mark)
        if success is None or success.list_id != list_id:
            return None
        data = await self._storage.get(self._path(push, run_id, MANIFEST))
        if data is None or hashlib.sha256(data).hexdigest() != success.manifest_sha256:
            return None
        return read_manifest(data)

    async def _told(self, push: Push, manifest: Manifest) -> Delivered:
        folder = self._storage.place(self._path(push, manifest.run_id, ""))
        places = tuple(
            self._storage.place(self._path(push, manifest.run_id, each.name)) for each in manifest.files
        )
        if self._notifier is not None:
            await self._notifier.tell(manifest, folder, places)
        size = sum(each.bytes for each in manifest.files)
        checksum = manifest.files[0].sha256 if len(manifest.files) == 1 else ""
        return Delivered(manifest.list_id, places, manifest.rows, size, checksum)

    async def _put(self, path: str, data: bytes) -> None:
        await self._storage.put(path, lambda: iter([data]))

    def _path(self, push: Push, run_id: str, name: str) -> str:
        """Of a file of a run; without a name the run's folder."""
        parts = [self._folder] if self._folder else [push.project, push.name]
        return "/".join([*parts, run_id, name])


def file_name(spooled: SpooledList) -> str:
    """It tells the push and the list. A list that began anew has another one."""
    format = spooled.push.content.format
    if format.kind not in ENDINGS:
        raise TargetRefused(f"rows of the format {format.kind} don't make a file; allowed: csv, jsonl")
    return f"{spooled.push.name}-{spooled.list_id}{ENDINGS[format.kind]}{'.gz' if format.gzip else ''}"
