"""What targets are made with: plain data, secrets looked up and never shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Mask: TypeAlias = Callable[[str], str]
"""Takes secrets out of a text."""


def no_mask(text: str) -> str:
    """For places without secrets."""
    return text


@dataclass(frozen=True, slots=True)
class ObjectStorePlace:
    """A bucket of S3 (and of what speaks like it, such as OSS), Google Cloud Storage or Azure.

    ``key_id`` and ``key`` None: the identity that the process has by itself. For ``az`` ``key_id`` is the
    account; for ``gs`` ``key`` is the JSON of a service account. ``file``: a folder of this machine.
    """

    scheme: Literal["s3", "gs", "az", "file"]
    bucket: str
    """For ``file`` the path of the folder."""
    folder: str = ""
    endpoint: str | None = None
    region: str | None = None
    key_id: str | None = None
    key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    path_style: bool = True
    allow_private: bool = False
    timeout_s: float = 120.0
    """Of each request."""


@dataclass(frozen=True, slots=True)
class SftpPlace:
    """A server and an account. A server whose key is neither in ``host_keys`` (``ssh-ed25519 AAAA…``) nor has
    one of ``fingerprints`` (``SHA256:…``) is not spoken to."""

    host: str
    user: str
    port: int = 22
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    host_keys: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    folder: str = ""
    allow_private: bool = False
    timeout_s: float = 30.0
    """For connecting, and for each answer."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told that a list is there. ``signing_secret``: ``whsec_`` and base64 (Standard Webhooks)."""

    url: str = field(repr=False)
    """May hold a secret."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    signing_secret: str | None = field(default=None, repr=False)
    callback_url: str | None = None
    """Where modules confirm that they have a list; the ids of run and list come behind it."""
    callback_secret: str | None = field(default=None, repr=False)
    """What tokens for that are made of (``agents.pushes.targets.confirmation``)."""
    allow_private: bool = False
    timeout_s: float = 15.0


PART: Final = ".part"
"""How the name of a file ends that is being written."""
PROBE: Final = "_TURNSTILE_TEST"
"""The file that a test of a connection writes."""
