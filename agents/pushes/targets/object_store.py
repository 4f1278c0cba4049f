"""Files in an object store (obstore). A file of several parts appears when its upload is completed, so there
is nothing to rename: S3, Google Cloud Storage and Azure all show an object whole or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agents.pushes.contract.target import TargetRefused, TargetUnavailable
from agents.pushes.targets.places import PROBE, Mask, ObjectStorePlace, no_mask
from agents.pushes.targets.store_address import (
    DEFAULT_REGION,
    check_names,
    checked_addresses,
    client_options,
    endpoint_of,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART_BYTES: Final = 8 * 1024 * 1024
"""Of an upload in parts; S3 takes 10,000 of them."""
PARTS_AT_ONCE: Final = 4
RETRIES: Final = 4
RETRY_SECONDS: Final = 60
_SHOWN_CHARACTERS: Final = 500


class ObjectStorage:
    """A ``Storage``. ``mask`` takes secrets out of what the store answers. Raises TargetRefused for settings
    that can't be used."""

    def __init__(self, place: ObjectStorePlace, mask: Mask = no_mask) -> None:
        self._place = place
        self._mask = mask
        self._store: ObjectStore | None = None
        self._address: str | None = None
        """That the store's client connects to; None: there is no endpoint."""
        self._failures = 0

    async def put(self, path: str, pieces: Callable[[], Iterator[bytes]]) -> None:
        import obstore

        store = await self._opened()
        stopped = False

        def stoppable() -> Iterator[bytes]:
            for piece in pieces():
                if stopped:
                    raise _Stopped
                yield piece

        def upload() -> None:
            obstore.put(
                store,
                self._key(path),
                stoppable(),
                use_multipart=True,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

        async with self._told(f"writing {self.place(path)}"):
            uploading = asyncio.create_task(asyncio.to_thread(upload))
            try:
                await asyncio.shield(uploading)
            except asyncio.CancelledError:
                # A thread can't be cancelled: its next piece ends the upload, which is then given up.
                stopped = True
                with contextlib.suppress(Exception):
                    await uploading
                raise

    async def create(self, path: str, data: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        if await self.get(path) is not None:  # a store may not know the condition, and then write
            return False
        store, key = await self._opened(), self._key(path)
        async with self._told(f"writing {self.place(path)}"):
            try:
                await obstore.put_async(store, key, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            except Exception as error:
                if not _lacks_conditions(error):
                    raise
                await obstore.put_async(store, key, data, use_multipart=False)
        return True

    async def remove(self, path: str) -> None:
        import obstore

        store = await self._opened()
        async with self._told(f"removing {self.place(path)}"):
            with contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(store, self._key(path))

    async def get(self, path: str) -> bytes | None:
        import obstore

        store = await self._opened()
        async with self._told(f"reading {self.place(path)}"):
            try:
                found = await obstore.get_async(store, self._key(path))
                return bytes(await found.bytes_async())
            except FileNotFoundError:
                return None

    def place(self, path: str) -> str:
        where = self._place.bucket if self._place.scheme == "file" else f"{self._place.bucket.rstrip('/')}"
        return f"{self._place.scheme}://{where}/{self._key(path)}"

    async def probe(self) -> None:
        import obstore

        await self.put(PROBE, lambda: iter([b""]))
        with contextlib.suppress(TargetRefused, TargetUnavailable):
            async with self._told("removing"):
                await obstore.delete_async(await self._opened(), self._key(PROBE))

    async def close(self) -> None:
        self._store = None

    def _key(self, path: str) -> str:
        folder = self._place.folder.strip("/")
        return f"{folder}/{path}" if folder else path

    async def _opened(self) -> ObjectStore:
        """Raises TargetRefused, TargetUnavailable. Whether it may be connected to is asked each time."""
        check_names(self._place)
        endpoint, found = endpoint_of(self._place), tuple[str, ...]()
        if endpoint is not None:
            found = await checked_addresses(endpoint, self._place.allow_private)
        if self._store is None or (found and self._address not in found):
            # After a failure the next address, if the name has several.
            self._address = found[self._failures % len(found)] if found else None
            self._store = self._new(self._address)
        return self._store

    def _new(self, address: str | None) -> ObjectStore:
        """Not connected yet. Raises TargetRefused."""
        from obstore.exceptions import BaseError

        try:
            return _open(self._place, address)
        except (BaseError, ValueError, OSError) as error:
            raise TargetRefused(f"the store's settings can't be used: {self._reason(error)}") from None

    @contextlib.asynccontextmanager
    async def _told(self, what: str) -> AsyncIterator[None]:
        """Raises what a store's exception means."""
        from obstore.exceptions import (
            BaseError,
            NotFoundError,
            PermissionDeniedError,
            UnauthenticatedError,
            UnknownConfigurationKeyError,
        )

        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise TargetRefused(f"{what}: the store doesn't let us: {self._reason(error)}") from None
        except (NotFoundError, FileNotFoundError) as error:
            raise TargetRefused(f"{what}: the bucket isn't there: {self._reason(error)}") from None
        except (UnknownConfigurationKeyError, ValueError) as error:
            raise TargetRefused(f"{what}: {self._reason(error)}") from None
        except (BaseError, OSError) as error:
            self._store = None
            self._failures += 1
            raise TargetUnavailable(f"{what}: {self._reason(error)}") from None

    def _reason(self, error: Exception) -> str:
        text = self._mask(" ".join(str(error).split()))
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


class _Stopped(Exception):
    """The upload is given up."""


def _lacks_conditions(error: Exception) -> bool:
    """Whether a store answered that it has no writes under a condition (501)."""
    from obstore.exceptions import NotSupportedError

    return isinstance(error, NotSupportedError) or "NotImplemented" in str(error)


def _open(place: ObjectStorePlace, address: str | None) -> ObjectStore:
    """With all settings given: obstore would take missing ones from the environment. Raises TargetRefused."""
    from datetime import timedelta

    from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

    client: Any = {"timeout": timedelta(seconds=place.timeout_s), **client_options(place, address)}
    retry: Any = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)}
    if place.scheme == "file":
        return LocalStore(Path(place.bucket), automatic_cleanup=False, mkdir=True)
    config: dict[str, Any]
    if place.scheme == "s3":
        config = {
            "endpoint": endpoint_of(place),
            "region": place.region or DEFAULT_REGION,
            "virtual_hosted_style_request": not place.path_style and place.endpoint is not None,
            "skip_signature": False,
        }
        own = {} if place.key is None else {"credential_provider": lambda: _s3_credential(place)}
        return S3Store(place.bucket, config=config, client_options=client, retry_config=retry, **own)  # type: ignore[arg-type]
    if place.scheme == "gs":
        config = {} if place.endpoint is None else {"base_url": place.endpoint.rstrip("/")}
        config |= {} if place.key is None else {"service_account_key": _service_account(place.key)}
        return GCSStore(place.bucket, config=config, client_options=client, retry_config=retry)  # type: ignore[arg-type]
    config = {} if place.key is None else {"account_key": place.key}
    config |= {} if place.key_id is None else {"account_name": place.key_id}
    config |= {} if place.endpoint is None else {"endpoint": place.endpoint}
    return AzureStore(place.bucket, config=config, client_options=client, retry_config=retry)  # type: ignore[arg-type]


def _service_account(key: str) -> str:
    """Raises TargetRefused for a key that isn't one, or that says where the store is."""
    try:
        found = msgspec.json.decode(key, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError):
        raise TargetRefused("the key of the store isn't the JSON of a service account") from None
    for name in ("gcs_base_url", "disable_oauth"):
        if name in found:
            raise TargetRefused(f"the key of the store may not say '{name}': 'endpoint' says where it is")
    return key


def _s3_credential(place: ObjectStorePlace) -> Any:
    return {
        "access_key_id": place.key_id or "",
        "secret_access_key": place.key or "",
        "token": place.session_token,
        "expires_at": None,
    }
