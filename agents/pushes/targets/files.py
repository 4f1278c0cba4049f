"""A list as a file: the file, the decision, its manifest, ``_SUCCESS``, then the notification; in this order.

Each name appears when its content is whole, not before (``Storage.put``). All files of a run lie in a folder
that is the run's.

Whether a list is the run's is decided once, by whoever makes ``_DECIDED-<list>`` first: its content is the
manifest, or nothing for a list that is given up. So a process that was thought dead can't make a list whole
that another one gave up, and a list that it did make whole is finished by the other one, from the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Protocol

from agents.pushes.contract.push import Push
from agents.pushes.contract.spooled import SpooledList
from agents.pushes.contract.target import (
    Delivered,
    MayAppear,
    Progress,
    QueueName,
    TargetRefused,
    TargetUnavailable,
    may_always,
)
from agents.pushes.targets.manifest import (
    MANIFEST,
    SUCCESS,
    Manifest,
    Success,
    encode,
    manifest_of,
    read_manifest,
)
from agents.pushes.targets.notification import Notifier
from agents.pushes.targets.stream import Written, pieces_of

DECIDED: Final = "_DECIDED-"
ENDINGS: Final = {"csv": ".csv", "jsonl": ".jsonl"}


class Storage(Protocol):
    """Files by their paths, below the folder of a connection.

    All methods raise TargetRefused, TargetUnavailable.
    """

    async def put(self, path: str, pieces: Callable[[], Iterator[bytes]]) -> None:
        """Write a file. It appears under its name when it is whole, in place of what was there. ``pieces``
        are made in another thread."""
        ...

    async def create(self, path: str, data: bytes) -> bool:
        """Write a small file, unless there is one; whether it was written. Of several who do it at once one
        is first, where the server has a way to say so."""
        ...

    async def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
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

    async def deliver(
        self, spooled: SpooledList, progress: Progress, may_appear: MayAppear = may_always
    ) -> Delivered:
        """Raises TargetRefused, TargetUnavailable. What an earlier call made whole is only told once more."""
        push, run_id, list_id = spooled.push, spooled.run_id, spooled.list_id
        data = await self._decision(push, run_id, list_id)
        if data is None:
            data = await self._decided(spooled, await self._write(spooled, progress), may_appear)
        if not data:
            await self._remove_file(push, run_id, list_id)
            raise TargetRefused("another process gave this list up, and began the run again")
        manifest = await self._finish(push, run_id, data)
        progress(manifest.rows)
        return await self._told(push, manifest)

    async def find(self, push: Push, run_id: str, list_id: str, since_ms: int = 0) -> Delivered | None:
        """What an earlier ``deliver`` made whole, or would have. Otherwise the list is given up."""
        data = await self._decision(push, run_id, list_id)
        if data is None:
            data = await self._decide(push, run_id, list_id, b"")
        if not data:
            await self._remove_file(push, run_id, list_id)
            return None
        return await self._told(push, await self._finish(push, run_id, data))

    async def close(self) -> None:
        await self._storage.close()

    async def _write(self, spooled: SpooledList, progress: Progress) -> bytes:
        """The file; what its manifest is."""
        name = file_name(spooled.push, spooled.list_id)
        written = Written()

        def pieces() -> Iterator[bytes]:
            written.bytes, written.sha256 = 0, ""
            return pieces_of(spooled, written, progress)

        await self._storage.put(self._path(spooled.push, spooled.run_id, name), pieces)
        return encode(manifest_of(spooled, name, written))

    # -- the decision ----------------------------------------------------------------------------------

    async def _decided(self, spooled: SpooledList, data: bytes, may_appear: MayAppear) -> bytes:
        await may_appear()
        return await self._decide(spooled.push, spooled.run_id, spooled.list_id, data)

    async def _decide(self, push: Push, run_id: str, list_id: str, data: bytes) -> bytes:
        """What is decided, by this call or by somebody else before it."""
        if await self._storage.create(self._path(push, run_id, DECIDED + list_id), data):
            return data
        found = await self._decision(push, run_id, list_id)
        if found is None:
            raise TargetUnavailable(f"{DECIDED}{list_id} was there, and is gone")
        return found

    async def _decision(self, push: Push, run_id: str, list_id: str) -> bytes | None:
        """The manifest; nothing: the list is given up; None: nobody has decided."""
        return await self._storage.get(self._path(push, run_id, DECIDED + list_id))

    async def _finish(self, push: Push, run_id: str, data: bytes) -> Manifest:
        """What comes after the decision. Whoever does it writes the same."""
        manifest = read_manifest(data)
        if manifest is None or manifest.run_id != run_id:
            raise TargetRefused(f"what begins with {DECIDED} in the run's folder is none of ours")
        success = encode(Success(manifest.list_id, hashlib.sha256(data).hexdigest()))
        if await self._storage.get(self._path(push, run_id, SUCCESS)) != success:
            await self._put(self._path(push, run_id, MANIFEST), data)
            await self._put(self._path(push, run_id, SUCCESS), success)
        return manifest

    async def _remove_file(self, push: Push, run_id: str, list_id: str) -> None:
        """Of a list that was given up, where we may remove files."""
        with suppress(TargetRefused, TargetUnavailable):
            await self._storage.remove(self._path(push, run_id, file_name(push, list_id)))

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


def file_name(push: Push, list_id: str) -> str:
    """It tells the push and the list. A list that began anew has another one."""
    format = push.content.format
    if format.kind not in ENDINGS:
        raise TargetRefused(f"rows of the format {format.kind} don't make a file; allowed: csv, jsonl")
    return f"{push.name}-{list_id}{ENDINGS[format.kind]}{'.gz' if format.gzip else ''}"
