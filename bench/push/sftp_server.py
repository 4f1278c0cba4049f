"""An SFTP server that lets everybody in, for this machine: ``PORT HOST_KEY FOLDER``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import asyncssh


class _Open(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False


async def serve(port: int, host_key: str, folder: str) -> None:
    def files(channel: Any) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=folder.encode())

    server = await asyncssh.listen(
        "127.0.0.1", port, server_factory=_Open, server_host_keys=[host_key], sftp_factory=files
    )
    print("listening", flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
