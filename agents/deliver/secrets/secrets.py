"""Secrets: which there are and where each may be sent to, as the settings say; definitions only name them.

The author of a destination chooses where it sends to, so a definition must not choose what is read
here. The settings declare each secret with its source and the hosts that may have it (``deliver.secrets``).
A value is looked up at the time of use, so that a rotated one is found, and remembered for masking.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from agents.deliver.definitions.destination import Secret, Text
from agents.deliver.definitions.hosts import Endpoint, HostPattern
from agents.deliver.definitions.old_references import how_to_declare
from agents.deliver.errors import SinkMisconfigured
from agents.deliver.secrets.files import FileRefused, inside, read_inside
from agents.deliver.secrets.masking import SHORTEST, Masker
from rules.parse.problems import name_hint

API_KEYS: Final = "http.api_keys"
MADE_KEY: Final = re.compile(r"tsk_[A-Za-z0-9_-]{43}")
"""A key as ``turnstile keys create`` makes it."""
_SEPARATORS: Final = re.compile(r"[\s:;,=&\"'{}\[\]()<>@/?]+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_URL_SAFE: Final = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class Declared:
    """A secret of the settings: in a variable ``env`` or in a ``file``, for ``hosts`` only."""

    name: str
    hosts: tuple[HostPattern, ...]
    env: str | None = None
    file: Path | None = None
    projects: Set[str] | None = None
    """Whose destinations may name it; None: all."""


@dataclass(frozen=True, slots=True)
class OwnSecrets:
    """What is never sent, whatever is declared: values by the setting's name, SHA-256 of API keys, files."""

    values: Mapping[str, str] = field(default_factory=dict)
    key_digests: Callable[[], Set[str]] = frozenset
    """Asked each time: keys are made and revoked while the process runs."""
    files: tuple[Path, ...] = ()

    def named_in(self, value: str) -> str | None:
        """The setting that a value holds, in whatever encoding; None: none."""
        for name, own in self.values.items():
            masker = Masker()
            masker.hide(own)
            if own and (own == value or masker.masked(value) != value):
                return name
        digests = {
            hashlib.sha256(each.encode("utf-8", "replace")).hexdigest() for each in _perhaps_keys(value)
        }
        return None if digests.isdisjoint(self.key_digests()) else API_KEYS


@dataclass(frozen=True, slots=True)
class SecretSources:
    """All that secrets are looked up in. ``folder``: the one that files must be in; None: no files."""

    declared: Mapping[str, Declared] = field(default_factory=dict)
    folder: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    own: OwnSecrets = field(default_factory=OwnSecrets, repr=False)


class Secrets:
    """Those of one destination. ``project``: the destination's; None: it isn't asked for."""

    def __init__(self, sources: SecretSources | None = None, project: str | None = None) -> None:
        self._sources = sources or SecretSources()
        self._known = {
            name: each
            for name, each in self._sources.declared.items()
            if project is None or each.projects is None or project in each.projects
        }
        self._masker = Masker()

    def get(self, secret: Secret, to: Sequence[Endpoint]) -> str:
        """The value, to be sent to these endpoints. Raises SinkMisconfigured, also if one may not have it."""
        return self.get_for(secret, lambda _: to)

    def get_for(self, secret: Secret, endpoints: Callable[[str], Sequence[Endpoint]]) -> str:
        """The value, where it says itself to which ``endpoints`` it is sent. Raises SinkMisconfigured."""
        declared = self.declared(secret)
        value = self._value(declared)
        self._masker.hide(value)
        for endpoint in endpoints(value):
            self.allow(secret, endpoint)
        return value

    def text(self, text: Text, to: Sequence[Endpoint]) -> str:
        """A text, looked up where it is a secret. Raises SinkMisconfigured."""
        return self.get(text, to) if isinstance(text, Secret) else text

    def declared(self, secret: Secret) -> Declared:
        """What the settings say of it. Raises SinkMisconfigured."""
        if secret.old_source is not None:
            raise SinkMisconfigured(how_to_declare(secret))
        known = self._known  # those of other projects are as if they weren't there
        if secret.name not in known:
            hint = f"; {name_hint(secret.name, known)}" if known else ": none is declared"
            raise SinkMisconfigured(f"the settings (deliver.secrets) have no secret {secret.name!r}{hint}")
        return known[secret.name]

    def allow(self, secret: Secret, endpoint: Endpoint) -> None:
        """Raises SinkMisconfigured where the secret may not be sent to an endpoint."""
        hosts = self.declared(secret).hosts
        if not any(each.matches(endpoint) for each in hosts):
            allowed = ", ".join(map(str, hosts))
            raise SinkMisconfigured(
                f"secret {secret.name} may be sent to {allowed} (deliver.secrets), not to {endpoint}"
            )

    def file(self, path: str) -> Path:
        """A file that a definition names and that is sent nowhere, such as a certificate: in the same folder.

        Raises SinkMisconfigured.
        """
        try:
            return inside(self._sources.folder, Path(path), ())
        except FileRefused as error:
            raise SinkMisconfigured(str(error)) from None

    def stamp(self, secrets: Iterable[Secret]) -> object:
        """Differs after one of the files was replaced or written to; variables don't change."""
        return [self._stamp(each) for each in secrets]

    def hide(self, value: str) -> None:
        """Mask this, too: what was made of a secret, such as the key inside of a connection string."""
        self._masker.hide(value)

    def masked(self, text: str, cut: bool = False) -> str:
        """``text`` without any secret that was looked up so far; ``cut``: it may end within one."""
        return self._masker.masked(text, cut)

    def masked_all(self, value: object) -> object:
        """JSON-able data with every text in it masked."""
        return self._masker.masked_all(value)

    def _stamp(self, secret: Secret) -> object:
        declared = self._known.get(secret.name)
        if declared is None or declared.file is None or self._sources.folder is None:
            return None
        try:
            found = os.stat(self._sources.folder / declared.file)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _value(self, declared: Declared) -> str:
        name, sources = declared.name, self._sources
        if declared.env is not None:
            value = "" if is_own_variable(declared.env) else sources.environ.get(declared.env, "")
            if not value:
                raise SinkMisconfigured(f"secret {name}: the environment variable {declared.env} isn't set")
        else:
            assert declared.file is not None
            try:
                value = read_inside(sources.folder, declared.file, sources.own.files).rstrip("\r\n")
            except FileRefused as error:
                raise SinkMisconfigured(f"secret {name}: {error}") from None
        own = sources.own.named_in(value)
        if own is not None:
            raise SinkMisconfigured(
                f"secret {name} holds the value of the setting {own}, which is never sent: "
                "make a key of its own for the destination"
            )
        if len(value.strip()) < SHORTEST:
            raise SinkMisconfigured(
                f"secret {name} is shorter than {SHORTEST} characters: "
                "it couldn't be masked in logs and dead letters"
            )
        return value


def _perhaps_keys(value: str) -> Iterator[str]:
    """What of a value might be an API key, of which only the hash is known: also in JSON, in a connection
    string, percent-encoded, or in base64 as in ``Basic ...``.
    """
    for text in {value, unquote(value), *_from_base64(value)}:
        yield text
        yield from text.split()
        yield from _SEPARATORS.split(text)
        yield from MADE_KEY.findall(text)


def _from_base64(value: str) -> Iterator[str]:
    for run in _BASE64.findall(value):
        data = run.translate(_URL_SAFE).rstrip("=")
        try:
            yield base64.b64decode(data + "=" * (-len(data) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue


def is_own_variable(name: str) -> bool:
    """Whether an environment variable is one of our own settings."""
    return name.upper().startswith("TURNSTILE_")
