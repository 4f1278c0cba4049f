"""Certificates of our connections to Kafka, which live shorter than processes: their files are followed.

What was renewed is used from the next connection on. Where renewed files can't be used, those before still
are, and that is logged once.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Self

import structlog

log = structlog.get_logger("turnstile.kafka")

_Stamps = tuple[tuple[int, int, int], ...]


class FollowingContext(ssl.SSLContext):
    """Looks at its files before each connection. Made by ``of``."""

    _ca: Path | None
    _certificate: Path | None
    _key: Path | None
    _password: str
    _seen: _Stamps

    @classmethod
    def of(
        cls, ca: Path | None, certificate: Path | None, key: Path | None, key_password: str | None
    ) -> Self:
        """What ``ssl.create_default_context`` gives, and a certificate of our own.

        ``ca`` vouches for the brokers; None: the system's authorities do. ``key`` may lie in the file of the
        certificate (None). Raises OSError, ssl.SSLError for files that can't be used.
        """
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.create_default_context().verify_flags
        if ca is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        context._ca, context._certificate, context._key = ca, certificate, key
        context._password = key_password or ""  # without one OpenSSL would ask for it on the terminal
        context._load()
        context._seen = context._stamps()
        return context

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """asyncio calls it for each connection."""
        try:
            stamps = self._stamps()
            if stamps != self._seen:
                self._seen = stamps
                self._load()
                log.info("kafka_certificates_read", files=[str(each) for each in self._files])
        except OSError as error:  # ssl.SSLError is one
            log.error("kafka_certificates_unusable", error=str(error), text="those before are still used")
        return super().wrap_bio(*args, **kwargs)

    @property
    def _files(self) -> list[Path]:
        return [each for each in (self._ca, self._certificate, self._key) if each is not None]

    def _load(self) -> None:
        """An authority that is renewed is trusted beside the one before."""
        if self._ca is not None:
            self.load_verify_locations(self._ca)
        if self._certificate is not None:
            self.load_cert_chain(self._certificate, self._key, self._password)

    def _stamps(self) -> _Stamps:
        """Different after a change: Kubernetes changes a link, others write the file. Raises OSError."""
        found = [each.stat() for each in self._files]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)
