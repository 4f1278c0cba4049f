"""Files of secrets: regular files inside one folder, wherever links lead."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LARGEST_BYTES: Final = 1024 * 1024
_NEVER: Final = (Path("/proc"), Path("/sys"), Path("/dev"))
"""What the kernel says of this process (its environment, too) is no file, whatever the settings say."""


class FileRefused(Exception):
    """The file isn't one that may be read, or can't be. The text says why."""


def inside(folder: Path | None, file: Path, own: Iterable[Path]) -> Path:
    """Where a file really is: in ``folder``, links resolved (those of Kubernetes' ``..data`` stay within).

    A relative ``file`` is relative to the folder. ``own`` are files that are refused, also under other
    names. Raises FileRefused.
    """
    if folder is None:
        raise FileRefused(f"{file}: set deliver.secrets_dir to the folder that such files are in")
    try:
        root = folder.resolve(strict=True)
        # First where it would be: no definition is told which files there are elsewhere.
        if not (folder / file).resolve().is_relative_to(root):
            raise FileRefused(f"the file {file} is not inside of deliver.secrets_dir ({folder})")
        found = (folder / file).resolve(strict=True)
        status = found.stat()
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle
        raise FileRefused(f"the file {file} can't be read: {_reason(error)}") from None
    if not found.is_relative_to(root):
        raise FileRefused(f"the file {file} is not inside of deliver.secrets_dir ({folder})")
    if any(found.is_relative_to(each) for each in _NEVER) or not stat.S_ISREG(status.st_mode):
        raise FileRefused(f"{file} is not a regular file")
    if any(_is_same(status, each) for each in own):
        raise FileRefused(f"the file {file} holds our own settings, which are never sent")
    return found


def read_inside(folder: Path | None, file: Path, own: Iterable[Path]) -> str:
    """The text of such a file (UTF-8). Raises FileRefused."""
    found = inside(folder, file, own)
    try:
        # It may have become something else since: no link is followed now, and nothing is waited for.
        handle = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as opened:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise FileRefused(f"{file} is not a regular file")
            data = opened.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise FileRefused(f"the file {file} is larger than {LARGEST_BYTES} bytes")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise FileRefused(f"the file {file} can't be read: {_reason(error)}") from None


def _is_same(status: os.stat_result, other: Path) -> bool:
    try:
        return os.path.samestat(status, other.stat())
    except OSError:
        return False


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it isn't UTF-8"
    return getattr(error, "strerror", None) or str(error)
