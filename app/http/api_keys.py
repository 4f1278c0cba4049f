"""API keys: who a request comes from, and what that key is good for.

Keys are in the settings (``http.api_keys``), in a file (``http.api_keys_file``, read again when it changes),
and on a topic (``agents.registry.api_keys_topic``). Only their SHA-256 is known here: a key has 256 random
bits, so nothing slower is needed. Where there is no key at all everybody may do all, which
``app.http.listen`` allows on loopback only.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog
from multidict import MultiMapping
from pydantic import ValidationError

from agents.registry.api_keys import EVERY_PROJECT, Scope
from agents.registry.api_keys_topic import ApiKeys
from agents.registry.feed import Feed
from agents.warnings import Warnings
from app.failures import CommandFailed
from app.http.problems import HttpProblem
from app.settings.http import ApiKey, HttpSettings
from rules.parse.document import plain
from rules.parse.text import parse_text

log = structlog.get_logger("turnstile.keys")

LOAD_SECONDS = 5.0
"""How long a start waits for the topic of keys before it listens."""
LOOK_SECONDS = 1.0
"""How often the file is looked at."""
KEY_START = "tsk_"
"""What keys that we make start with, so that scanners for leaked secrets know them."""
FILE_UNUSABLE = "unusable_keys_file"


def new_key() -> str:
    """A key of 256 random bits."""
    return KEY_START + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """SHA-256 in hexadecimal; headers bring what isn't UTF-8 as surrogates, which can't be any key's."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class NoGoodKey(HttpProblem):
    """None, an unknown, an expired or a revoked one: the answer is the same, so that it tells nothing."""

    def __init__(self) -> None:
        detail = "a good API key is needed, in the header api-key or as Authorization: Bearer"
        super().__init__(401, "Not allowed", detail)
        self.headers["WWW-Authenticate"] = 'Bearer realm="turnstile"'


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from: the key's name, and what it is good for."""

    name: str
    scopes: frozenset[str]
    projects: frozenset[str]

    def require(self, *scopes: Scope) -> None:
        """Raises HttpProblem unless the key has one of the scopes."""
        if self.scopes.isdisjoint((*scopes, "admin")):
            wanted = " or ".join(map(repr, scopes))
            raise HttpProblem(403, "Not allowed", f"this key doesn't have the scope {wanted}")

    def covers(self, project: str) -> bool:
        return project in self.projects or EVERY_PROJECT in self.projects

    def require_project(self, project: str) -> None:
        """Raises HttpProblem unless the key is for the project."""
        if not self.covers(project):
            raise HttpProblem(403, "Not allowed", f"this key isn't for the project {project!r}")

    def require_every_project(self) -> None:
        """Raises HttpProblem unless the key is for all of them."""
        if EVERY_PROJECT not in self.projects:
            raise HttpProblem(403, "Not allowed", f"this needs a key for all projects ({EVERY_PROJECT!r})")


ANYBODY = Caller("", frozenset({"admin"}), frozenset({EVERY_PROJECT}))
"""Where no key is asked for."""


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    sha256: str
    expires_ms: int | None


def given_key(headers: MultiMapping[str]) -> str | None:
    """The key that a request brings: header ``api-key``, otherwise ``Authorization: Bearer``."""
    own = headers.getall("api-key", [])
    if own:
        return own[0] if len(set(own)) == 1 else ""
    for each in headers.getall("Authorization", []):
        scheme, _, key = each.partition(" ")
        if scheme.lower() == "bearer":
            return key.strip()
    return None


class KeyRing:
    """All keys that are good now. ``follow`` keeps them up to date."""

    def __init__(
        self,
        http: HttpSettings,
        feed: Feed[ApiKeys],
        warnings: Warnings,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Raises CommandFailed when ``http.api_keys_file`` can't be used."""
        self._feed = feed
        self._warnings = warnings
        self._wall_ms = wall_ms
        self._settings_keys = tuple(map(_of_settings, http.api_keys))
        self._file = http.api_keys_file
        self._file_keys: tuple[_Known, ...] = ()
        self._file_seen: object = None
        if self._file is not None:
            self._file_seen = _fingerprint(self._file)
            try:
                self._file_keys = read_keys_file(self._file)
            except KeysFileUnusable as error:
                raise CommandFailed(f"http.api_keys_file: {error}") from None

    @property
    def has_own(self) -> bool:
        """There are keys besides those of the topic: it isn't loopback alone that keeps strangers out."""
        return bool(self._settings_keys or self._file_keys)

    @property
    def asks(self) -> bool:
        """Keys are asked for. As long as the topic isn't read, too, because it may hold some."""
        return self._is_closed_here or not self._feed.loaded.is_set() or self._feed.registry.has_records

    def digests(self) -> frozenset[str]:
        """SHA-256 of every key that isn't revoked."""
        return frozenset(each.sha256 for each in self._known())

    @property
    def loaded(self) -> bool:
        return self._feed.loaded.is_set()

    def caller(self, headers: MultiMapping[str]) -> Caller:
        """Who sent these headers.

        Raises HttpProblem: 401 without a good key, whatever is wrong; 503 as long as the topic isn't read.
        """
        if not self.asks:
            return ANYBODY
        given = given_key(headers)
        found = self._find(given) if given else None
        if found is not None:
            return found
        if not self._feed.loaded.is_set() and (given or not self._is_closed_here):
            raise HttpProblem(503, "Not available now", "the topic of API keys is not read yet")
        raise NoGoodKey

    async def wait_loaded(self) -> None:
        """Until the topic is read, but not for long: a process that listens without it answers with 503."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOAD_SECONDS):
                await self._feed.loaded.wait()

    async def follow(self) -> None:
        """Follow the topic and the file until cancelled."""
        await asyncio.gather(self._feed.run(), self._watch_file())

    @property
    def _is_closed_here(self) -> bool:
        return bool(self._settings_keys) or self._file is not None

    def _find(self, given: str) -> Caller | None:
        digest, now_ms = digest_of(given), self._wall_ms()
        found: Caller | None = None
        for key in self._known():  # every key is compared, so that the time taken tells nothing
            same = hmac.compare_digest(digest, key.sha256)
            if same and (key.expires_ms is None or now_ms < key.expires_ms):
                found = found or key.caller
        return found

    def _known(self) -> Iterable[_Known]:
        yield from self._settings_keys
        yield from self._file_keys
        for name, record in self._feed.registry.published.items():
            if not record.revoked:
                caller = Caller(name, frozenset(record.scopes), frozenset(record.projects))
                yield _Known(caller, record.sha256, record.expires_ms)
                for each in record.rotated:
                    ends = (each.expires_ms, record.expires_ms)
                    yield _Known(caller, each.sha256, min(end for end in ends if end is not None))

    async def _watch_file(self) -> None:
        while self._file is not None:
            await asyncio.sleep(LOOK_SECONDS)
            seen = await asyncio.to_thread(_fingerprint, self._file)
            if seen == self._file_seen:
                continue
            self._file_seen = seen
            try:
                self._file_keys = await asyncio.to_thread(read_keys_file, self._file)
            except KeysFileUnusable as error:
                self._file_keys = ()
                text = f"{error}. Its keys are not accepted until the file is right again"
                self._warnings.note(FILE_UNUSABLE, "http.api_keys_file", text)
            else:
                self._warnings.clear(FILE_UNUSABLE, "http.api_keys_file")
                log.info("keys_file_read", file=str(self._file), keys=len(self._file_keys))


def digests_in_settings(http: HttpSettings) -> frozenset[str]:
    """SHA-256 of the keys in the settings and in ``http.api_keys_file``, where that can be read."""
    keys = tuple(map(_of_settings, http.api_keys))
    if http.api_keys_file is not None:
        with suppress(KeysFileUnusable):
            keys += read_keys_file(http.api_keys_file)
    return frozenset(each.sha256 for each in keys)


class KeysFileUnusable(Exception):
    """A file of keys that isn't one; the text says what is wrong."""


def read_keys_file(file: Path) -> tuple[_Known, ...]:
    """The keys in a YAML or JSON file: a list, as ``http.api_keys`` has it. Raises KeysFileUnusable."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise KeysFileUnusable(f"{file} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KeysFileUnusable(f"{file} isn't UTF-8") from None
    try:
        documents, problems = parse_text(text, str(file))
    except RecursionError:
        raise KeysFileUnusable(f"{file} is nested too deeply") from None
    if problems:
        told = "; ".join(f"{each.file}:{each.line}:{each.column}: {each.message}" for each in problems)
        raise KeysFileUnusable(told)
    items = plain(documents[0]) if len(documents) == 1 else None
    if not isinstance(items, list):
        raise KeysFileUnusable(f"{file} must hold one list of keys, each with name, sha256, scopes, projects")
    keys, wrong = [], []
    for number, item in enumerate(items):
        try:
            keys.append(_of_settings(ApiKey.model_validate(item)))
        except ValidationError as error:
            # Neither the value nor pydantic's text: a key in the place of its hash must not come to a log.
            fields = sorted({".".join(map(str, each["loc"][:1])) or "item" for each in error.errors()})
            wrong.append(f"{file}: key {number + 1}: wrong or missing: {', '.join(fields)}")
    if wrong:
        raise KeysFileUnusable("; ".join(wrong))
    return tuple(keys)


def _of_settings(key: ApiKey) -> _Known:
    caller = Caller(key.name, frozenset(key.scopes), frozenset(key.projects))
    return _Known(caller, key.sha256, None)


def _fingerprint(file: Path) -> object:
    """What changes with the file's content, also where a link to it is changed (mounted Secrets)."""
    try:
        found = file.stat()
    except OSError as error:
        return error.errno
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
