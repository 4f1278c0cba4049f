"""Files in object stores: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

Credentials, regions and endpoints come from the environment, by the names that each cloud's own tools use
(https://developmentseed.org/obstore/latest/authentication/).
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from app.failures import CommandFailed
from app.imports.places import PATTERN, SourceFile

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

SCHEMES: Final = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "file")
RANGE_BYTES: Final = 8 * 1024 * 1024
"""Asked for at once. Each request is repeated by itself if the network fails."""
_SHOWN_CHARACTERS: Final = 300


def is_url(place: str) -> bool:
    """Whether it names something in an object store. Raises CommandFailed for a scheme that isn't known."""
    scheme, mark, _ = place.partition("://")
    if not mark:
        return False
    if scheme not in SCHEMES:
        raise CommandFailed(f"{place}: files can be at {', '.join(f'{each}://' for each in SCHEMES)}")
    return True


def objects_at(url: str) -> list[SourceFile]:
    """The object of this address, or all below it, or those that fit its pattern (``*`` doesn't match ``/``,
    ``**`` does). Raises CommandFailed where there is none, or where the store says no."""
    from obstore.exceptions import BaseError

    try:
        found = sorted(_find(url), key=lambda each: each.name)
    except (BaseError, OSError, ValueError) as error:
        raise CommandFailed(f"{url}: {_told(error)}") from None
    if not found:
        raise CommandFailed(f"{url}: there is no file")
    return found


def _find(url: str) -> Iterator[SourceFile]:
    import obstore
    from obstore.store import from_url

    base, name = _split(url)
    store: ObjectStore = from_url(base)
    is_pattern = not name or bool(PATTERN.intersection(name))
    if not is_pattern:
        try:
            yield _object(base, store, obstore.head(store, name))
        except FileNotFoundError:
            pass  # a folder?
        else:
            return
    pattern = (name or "**") if is_pattern else f"{name}/**"
    for page in obstore.list(store, prefix=None if is_pattern else name):
        for each in page:
            path = each["path"]
            if each["size"] and fits(path, pattern) and not any(p.startswith(".") for p in path.split("/")):
                yield _object(base, store, each)


def _split(url: str) -> tuple[str, str]:
    """The address of a store, and what is looked for in it; nothing: everything."""
    scheme, _, rest = url.partition("://")
    parts = rest.split("/")
    fixed = next((at for at, each in enumerate(parts) if PATTERN.intersection(each)), len(parts) - 1)
    # The bucket itself is never a pattern or a file's name, nor is Azure's account before its container.
    fixed = max(fixed, 2 if scheme == "az" else 1)
    return f"{scheme}://{'/'.join(parts[:fixed])}", "/".join(parts[fixed:])


def fits(path: str, pattern: str) -> bool:
    """Whether a path fits a pattern, part by part."""
    return _fits(path.split("/"), pattern.split("/"))


def _fits(parts: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_fits(parts[at:], patterns[1:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _fits(parts[1:], patterns[1:])


def _object(base: str, store: ObjectStore, meta: ObjectMeta) -> SourceFile:
    path, size_bytes = meta["path"], meta["size"]
    name = f"{base}/{path}"

    def chunks() -> Iterator[bytes]:
        import obstore
        from obstore.exceptions import BaseError

        for start in range(0, size_bytes, RANGE_BYTES):
            try:
                end = min(start + RANGE_BYTES, size_bytes)
                yield bytes(obstore.get_range(store, path, start=start, end=end))
            except (BaseError, OSError) as error:
                raise CommandFailed(f"{name} can't be read: {_told(error)}") from None

    return SourceFile(name, size_bytes, chunks)


def _told(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
