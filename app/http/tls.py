"""TLS of our HTTP: the certificate that listeners show, and whom requests between our processes trust.

Certificates live shorter than processes, so both follow their files: what was renewed is used from the next
connection on. What can't be used is noted, and what was there before goes on.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from pathlib import Path

from agents.warnings import Warnings
from app.certificates import serving_context
from app.http.connections import CLOSING_SECONDS, HEADER_SECONDS, Connection
from app.settings.http import HttpSettings

UNUSABLE = "certificate_unusable"

_Stamps = tuple[tuple[int, int, int], ...]


def _stamps(*files: Path) -> _Stamps:
    """Different after a change: Kubernetes changes a link, others write the file. Raises OSError."""
    found = [each.stat() for each in files]
    return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)


class ServingCertificate:
    """The certificate of a listener, read once more when its files changed."""

    def __init__(self, cert: Path, key: Path, warnings: Warnings) -> None:
        """Raises OSError: the files can't be used."""
        self._files = (cert, key)
        self._warnings = warnings
        self._seen = _stamps(*self._files)
        self._current = self.context = serving_context(*self._files)
        self.context.sni_callback = self._choose  # asked at each handshake, with or without a name

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        try:
            stamps = _stamps(*self._files)
            if stamps != self._seen:
                self._current = serving_context(*self._files)
                self._seen = stamps
            self._warnings.clear(UNUSABLE, str(self._files[0]))
        except OSError as error:
            text = f"http.tls_cert_file can't be used with its key, so the one before still is: {error}"
            self._warnings.note(UNUSABLE, str(self._files[0]), text)
        connection.context = self._current


class Trust:
    """Whose certificates our clients accept: those that ``ca_file`` vouches for; None: the system's."""

    def __init__(self, ca_file: Path | None, warnings: Warnings | None = None) -> None:
        """Without ``warnings`` what is noted is only logged."""
        self._file = ca_file
        self._warnings = warnings or Warnings()
        self._context: ssl.SSLContext | None = None
        self._seen: _Stamps = ()

    def __call__(self) -> ssl.SSLContext | bool:
        """What aiohttp takes as ``ssl``. A renewed authority is trusted beside the one before."""
        if self._file is None:
            return True
        try:
            stamps = _stamps(self._file)
            if self._context is None:
                self._context = ssl.create_default_context(cafile=self._file)
            elif stamps != self._seen:
                self._context.load_verify_locations(self._file)
            self._seen = stamps
            self._warnings.clear(UNUSABLE, str(self._file))
        except OSError as error:
            text = f"http.tls_ca_file can't be used, so no new authority is trusted: {error}"
            self._warnings.note(UNUSABLE, str(self._file), text)
            # One that vouches for nobody: the request fails, and says why.
            return self._context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return self._context


def certificate_of(http: HttpSettings, warnings: Warnings) -> ServingCertificate | None:
    """None: plain HTTP. Raises OSError."""
    if http.tls_cert_file is None or http.tls_key_file is None:
        return None
    return ServingCertificate(http.tls_cert_file, http.tls_key_file, warnings)


class TlsConnection(SSLProtocol):
    """TLS around a connection, which counts from its first packet on: half a handshake is held open, too."""

    def __init__(self, connection: Connection, certificate: ServingCertificate) -> None:
        super().__init__(
            asyncio.get_running_loop(),
            connection,
            certificate.context,
            None,  # type: ignore[arg-type]  # nobody waits for the handshake
            server_side=True,
            ssl_handshake_timeout=HEADER_SECONDS,  # type: ignore[arg-type]
            ssl_shutdown_timeout=CLOSING_SECONDS,
        )
        self._counted = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._counted.arrive(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._counted.leave()
