"""Files on an SFTP server (asyncssh): written under a name of their own, then renamed in one step."""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import asyncssh

from agents.pushes.contract.target import TargetRefused, TargetUnavailable
from agents.pushes.targets.places import PART, PROBE, Mask, SftpPlace, no_mask
from agents.pushes.targets.sftp_connecting import connected

BLOCKS_AT_ONCE: Final = 64
"""Write requests of 16 to 256 KiB, as the server allows, that wait for an answer."""
FLUSH_SECONDS: Final = 300.0
"""For a server to bring a whole file to its disk."""
_REFUSED: Final = (
    asyncssh.SFTPPermissionDenied,
    asyncssh.SFTPOpUnsupported,
    asyncssh.SFTPInvalidFilename,
    asyncssh.SFTPWriteProtect,
)
_MISSING: Final = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_FULL: Final = (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded)


class SftpStorage:
    """A ``Storage``. One connection, made when it is first needed and again when it broke."""

    def __init__(self, place: SftpPlace, mask: Mask = no_mask) -> None:
        self._place = place
        self._mask = mask
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._opening = asyncio.Lock()

    async def put(self, path: str, pieces: Callable[[], Iterator[bytes]]) -> None:
        async with self._told(f"writing {self.place(path)}") as client:
            await self._put(client, path, pieces(), _renamed)

    async def create(self, path: str, data: bytes) -> bool:
        async with self._told(f"writing {self.place(path)}") as client:
            final = self._full(path)
            if await self._is_there(client, final):  # not every server's rename is as the protocol says
                return False
            try:
                await self._put(client, path, iter([data]), asyncssh.SFTPClient.rename)
            except (asyncssh.SFTPFileAlreadyExists, asyncssh.SFTPFailure):
                if await self._is_there(client, final):
                    return False
                raise
            return True

    async def remove(self, path: str) -> None:
        async with self._told(f"removing {self.place(path)}") as client:
            with contextlib.suppress(*_MISSING), self._limit():
                await client.remove(self._full(path))

    async def _put(
        self,
        client: asyncssh.SFTPClient,
        path: str,
        pieces: Iterator[bytes],
        rename: Callable[[asyncssh.SFTPClient, str, str], Awaitable[None]],
    ) -> None:
        final = self._full(path)
        folder, name = posixpath.split(final)
        temporary = posixpath.join(folder, f".{name}.{uuid.uuid4().hex[:12]}{PART}")
        with self._limit():
            await client.makedirs(folder, exist_ok=True)
            await _remove_parts(client, folder, name)
        try:
            size = await self._written(client, temporary, pieces)
            with self._limit():
                found = (await client.stat(temporary)).size
                if found != size:
                    raise TargetUnavailable(f"writing {name}: {found} of {size} bytes are there")
                await rename(client, temporary, final)
        except BaseException:
            with contextlib.suppress(asyncssh.Error, OSError, asyncio.CancelledError), self._limit():
                await client.remove(temporary)
            raise

    async def _is_there(self, client: asyncssh.SFTPClient, path: str) -> bool:
        with contextlib.suppress(*_MISSING), self._limit():
            await client.stat(path)
            return True
        return False

    async def _written(self, client: asyncssh.SFTPClient, path: str, pieces: Iterator[bytes]) -> int:
        """How many bytes. Pieces are made in a thread, while those before are on their way."""
        size = 0
        with self._limit():
            file = await client.open(path, "wb", max_requests=BLOCKS_AT_ONCE)
        making = asyncio.create_task(asyncio.to_thread(next, pieces, None))
        try:
            while (piece := await making) is not None:
                making = asyncio.create_task(asyncio.to_thread(next, pieces, None))
                with self._limit():
                    await file.write(piece)
                size += len(piece)
            with contextlib.suppress(asyncssh.SFTPOpUnsupported), self._limit(FLUSH_SECONDS):
                await file.fsync()
            with self._limit():
                await file.close()
        finally:
            await asyncio.gather(making, return_exceptions=True)
        return size

    async def get(self, path: str) -> bytes | None:
        async with self._told(f"reading {self.place(path)}") as client:
            try:
                with self._limit():
                    async with client.open(self._full(path), "rb") as file:
                        found: Any = await file.read()  # bytes, because it is open as such
                        return bytes(found)
            except _MISSING:
                return None

    def place(self, path: str) -> str:
        port = "" if self._place.port == 22 else f":{self._place.port}"
        return f"sftp://{self._place.host}{port}/{self._full(path).lstrip('/')}"

    async def probe(self) -> None:
        await self.put(PROBE, lambda: iter([b""]))
        with contextlib.suppress(TargetRefused, TargetUnavailable):
            async with self._told("removing") as client:
                await client.remove(self._full(PROBE))

    async def close(self) -> None:
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.close()
            with contextlib.suppress(asyncssh.Error, OSError, TimeoutError):
                await asyncio.wait_for(connection.wait_closed(), self._place.timeout_s)

    def _full(self, path: str) -> str:
        folder = self._place.folder.rstrip("/")
        return f"{folder}/{path}" if self._place.folder else path

    async def _opened(self) -> asyncssh.SFTPClient:
        """Raises TargetRefused, TargetUnavailable, and what asyncssh raises."""
        async with self._opening:
            if self._client is None:
                self._connection = await connected(self._place)
                with self._limit():
                    self._client = await self._connection.start_sftp_client()
            return self._client

    @contextlib.contextmanager
    def _limit(self, seconds: float | None = None) -> Iterator[None]:
        """What lasts longer ends with the connection: asyncssh doesn't clean up after cancelled requests."""
        connection, loop = self._connection, asyncio.get_running_loop()
        assert connection is not None
        ending = loop.call_later(seconds or self._place.timeout_s, connection.abort)
        try:
            yield
        except (asyncssh.ConnectionLost, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            if ending.when() <= loop.time():
                raise TimeoutError("the server didn't answer in time") from None
            raise
        finally:
            ending.cancel()

    @contextlib.asynccontextmanager
    async def _told(self, what: str) -> AsyncIterator[asyncssh.SFTPClient]:
        """Raises what asyncssh's exceptions mean; after a broken connection the next call makes a new one."""
        try:
            yield await self._opened()
        except _FULL as error:
            raise TargetUnavailable(f"{what}: the server is full: {self._reason(error)}") from None
        except _REFUSED as error:
            raise TargetRefused(f"{what}: the server refuses: {self._reason(error)}") from None
        except asyncssh.SFTPFailure as error:
            # Servers of version 3 of the protocol have no other code for a full disk.
            raise TargetUnavailable(f"{what}: the server couldn't: {self._reason(error)}") from None
        except (asyncssh.Error, OSError, TimeoutError) as error:
            await self.close()
            raise TargetUnavailable(f"{what}: {self._reason(error)}") from None

    def _reason(self, error: Exception) -> str:
        return self._mask(f"{type(error).__name__}: {error}")


async def _renamed(client: asyncssh.SFTPClient, temporary: str, final: str) -> None:
    """In one step where the server can, over what is there."""
    try:
        await client.posix_rename(temporary, final)
    except asyncssh.SFTPOpUnsupported:
        # The protocol's own rename fails where the name is taken. What is there is whole: an earlier delivery
        # of the same list, or of a list that was given up.
        with contextlib.suppress(asyncssh.SFTPNoSuchFile):
            await client.remove(final)
        await client.rename(temporary, final)


async def _remove_parts(client: asyncssh.SFTPClient, folder: str, name: str) -> None:
    """What interrupted deliveries left; one that still goes on then fails at its rename."""
    for entry in await client.listdir(folder):
        found: Any = entry
        if found.startswith(f".{name}.") and found.endswith(PART):
            with contextlib.suppress(asyncssh.SFTPNoSuchFile):
                await client.remove(posixpath.join(folder, found))
