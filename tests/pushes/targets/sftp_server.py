"""An SFTP server (asyncssh's) on this machine, with faults that a test can switch on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from agents.pushes.targets.places import SftpPlace

USER, PASSWORD = "turnstile", "hush-hush-hush"


@dataclass
class Faults:
    """What goes wrong. ``quota_bytes``: of all that is written."""

    quota_bytes: int | None = None
    full: type[asyncssh.SFTPError] = asyncssh.SFTPFailure
    refuses_writes: bool = False
    has_posix_rename: bool = True
    exists: type[asyncssh.SFTPError] = asyncssh.SFTPFileAlreadyExists
    """What is answered to a rename over what is there; OpenSSH has SFTPFailure."""
    drops_after_bytes: int | None = None
    seconds_a_write: float = 0.0
    written: int = 0
    opened: list[Any] = field(default_factory=list)
    """Files; asyncssh forgets those that are written to when the connection ends."""
    shown: list[set[str]] = field(default_factory=list)
    """The names that were there at each write."""


class _Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


class _Files(asyncssh.SFTPServer):
    faults: Faults
    root: Path

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = channel
        super().__init__(channel, chroot=str(self.root).encode())

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        if self.faults.refuses_writes and pflags & asyncssh.FXF_WRITE:
            raise asyncssh.SFTPPermissionDenied("not here")
        file: Any = super().open(path, pflags, attrs)
        self.faults.opened.append(file)
        return file

    def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        faults = self.faults
        faults.written += len(data)
        faults.shown.append({each.name for each in self.root.rglob("*") if each.is_file()})
        if faults.quota_bytes is not None and faults.written > faults.quota_bytes:
            raise faults.full("no space")
        if faults.drops_after_bytes is not None and faults.written > faults.drops_after_bytes:
            faults.drops_after_bytes = None
            self._channel.get_connection().abort()
        if faults.seconds_a_write:
            return self._write_later(file_obj, offset, data)
        return super().write(file_obj, offset, data)

    async def _write_later(self, file_obj: Any, offset: int, data: bytes) -> int:
        await asyncio.sleep(self.faults.seconds_a_write)
        return int(super().write(file_obj, offset, data))  # type: ignore[call-overload]

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        try:
            super().rename(oldpath, newpath)
        except asyncssh.SFTPFileAlreadyExists:
            raise self.faults.exists("Failure") from None

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        if not self.faults.has_posix_rename:
            raise asyncssh.SFTPOpUnsupported("posix-rename")
        super().posix_rename(oldpath, newpath)


@dataclass
class Running:
    """``place`` leads to it, with the right key and password."""

    place: SftpPlace
    root: Path
    faults: Faults


@asynccontextmanager
async def sftp_server(root: Path, host_key: asyncssh.SSHKey) -> AsyncIterator[Running]:
    """``root`` is what clients see as ``/``."""
    faults = Faults()
    files = type("Files", (_Files,), {"faults": faults, "root": root})
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=_Server, server_host_keys=[host_key], sftp_factory=files
    )
    try:
        place = SftpPlace(
            "127.0.0.1",
            USER,
            server.get_port(),
            PASSWORD,
            fingerprints=(host_key.get_fingerprint(),),
            folder="lists",
            allow_private=True,
        )
        yield Running(place, root, faults)
    finally:
        server.close()
        await asyncio.wait_for(server.wait_closed(), 30)
        for file in faults.opened:
            file.close()
