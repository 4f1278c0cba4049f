"""A connection to an SFTP server: to an address that is allowed, and to a server whose key is known.

Nothing is taken from the machine that we run on: no ``~/.ssh``, no agent, no configuration.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import asyncssh

from agents.pushes.contract.target import TargetRefused, TargetUnavailable
from agents.pushes.targets.places import SftpPlace
from agents.sinks.addresses.guard import AddressNotAllowed, check_address

KEEPALIVE_SECONDS: Final = 15
KEEPALIVES: Final = 3


class _Client(asyncssh.SSHClient):
    """Asked for each server's key, because asyncssh knows none."""

    def __init__(self, place: SftpPlace) -> None:
        self._fingerprints = {each.strip().rstrip("=") for each in place.fingerprints}
        self._keys = set()
        for each in place.host_keys:
            try:
                self._keys.add(asyncssh.import_public_key(each).public_data)
            except (asyncssh.KeyImportError, ValueError):
                raise TargetRefused("a host key isn't one as in known_hosts: ssh-ed25519 AAAA…") from None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return key.public_data in self._keys or key.get_fingerprint() in self._fingerprints


async def connected(place: SftpPlace) -> asyncssh.SSHClientConnection:
    """Raises TargetRefused, TargetUnavailable."""
    if not place.host_keys and not place.fingerprints:
        raise TargetRefused(f"the key of {place.host} isn't known: give host_keys or fingerprints")
    client = _Client(place)
    options = _options(place)
    sock = await _dialled(place)
    try:
        return await asyncio.wait_for(
            asyncssh.connect(place.host, sock=sock, client_factory=lambda: client, **options),
            place.timeout_s,
        )
    except asyncssh.HostKeyNotVerifiable:
        raise TargetRefused(f"{place.host} shows another key than those of the connection") from None
    except (asyncssh.PermissionDenied, asyncssh.KeyExchangeFailed, asyncssh.ProtocolNotSupported) as error:
        raise TargetRefused(f"{place.host} doesn't let {place.user} in: {error.reason}") from None
    except (asyncssh.Error, OSError, TimeoutError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise TargetUnavailable(f"no connection to {place.host}: {reason}") from None


def _options(place: SftpPlace) -> dict[str, Any]:
    """Raises TargetRefused for a private key that can't be read."""
    keys: list[asyncssh.SSHKey] = []
    if place.private_key is not None:
        try:
            keys.append(asyncssh.import_private_key(place.private_key, place.passphrase))
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError):
            raise TargetRefused(
                "the private key can't be read: it isn't one, or its passphrase is another"
            ) from None
    return {
        "username": place.user,
        "password": place.password,
        "client_keys": keys,
        "known_hosts": ([], [], []),  # so that the client is asked for every key
        "agent_path": None,
        "config": None,
        "gss_host": None,
        "x509_trusted_certs": None,
        "keepalive_interval": KEEPALIVE_SECONDS,
        "keepalive_count_max": KEEPALIVES,
        "compression_algs": None,
    }


async def _dialled(place: SftpPlace) -> socket.socket:
    """Connected to the first address that answers. Raises TargetRefused, TargetUnavailable."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise TargetUnavailable(f"{place.host} has no address: {error}") from None
    why = "it has no address"
    for family, kind, protocol, _, where in found:
        try:
            check_address(str(where[0]), place.allow_private)
        except AddressNotAllowed as error:
            raise TargetRefused(str(error)) from None
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await asyncio.wait_for(loop.sock_connect(sock, where), place.timeout_s)
            return sock
        except (OSError, TimeoutError) as error:
            why = str(error) or "no answer"
            sock.close()
        except BaseException:
            sock.close()
            raise
    raise TargetUnavailable(f"no connection to {place.host}:{place.port}: {why}")
