"""Files, folders and patterns on this machine."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.failures import CommandFailed

CHUNK_BYTES: Final = 1024 * 1024
PATTERN: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file. ``chunks`` reads it from its start, each time anew; it raises CommandFailed."""

    name: str
    """As a person would name it again."""
    size_bytes: int
    """As it lies there, so maybe packed."""
    chunks: Callable[[], Iterator[bytes]]


def local_files(place: str) -> list[SourceFile]:
    """Raises CommandFailed where there is none."""
    path = Path(place)
    if path.is_dir():
        paths = _inside(path)
    elif path.exists() or not PATTERN.intersection(place):
        paths = [path]
    else:
        matches = sorted(Path(each) for each in glob.glob(place, recursive=True))
        paths = [file for each in matches for file in (_inside(each) if each.is_dir() else [each])]
    if not paths:
        raise CommandFailed(f"{place}: there is no file")
    return [_local(each) for each in paths]


def _inside(folder: Path) -> list[Path]:
    return sorted(
        each
        for each in folder.rglob("*")
        if each.is_file() and not any(part.startswith(".") for part in each.relative_to(folder).parts)
    )


def _local(path: Path) -> SourceFile:
    try:
        size_bytes = path.stat().st_size
        path.open("rb").close()
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}") from None

    def chunks() -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise CommandFailed(f"{path} can't be read: {error.strerror}") from None

    return SourceFile(str(path), size_bytes, chunks)
