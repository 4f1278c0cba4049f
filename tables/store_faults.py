"""What can be wrong with a store's files, and what is done: set aside and restored, or a stop and why.

Everything in a store comes back from the changelog, so damaged files are never worth a stop: they are renamed
and the store begins empty. A stop is right only where a new store would fare no better (the disk is full or
read-only, the process has no files or memory left), or where another process works with the files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = "LOCK"
"""RocksDB's own lock file; who has it open holds a POSIX lock on it."""
ASIDE = ".broken."
"""Between a store's name and the instant when it was set aside."""
_HELD = ("While lock file", "lock hold by current process")
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class StoreBroken(Exception):
    """A store's files are damaged. A note beside them keeps them from being used before ``set_aside``."""


class StoreClosed(Exception):
    """The store was closed before it was asked."""


class StoreUnusable(Exception):
    """A store can't be used and its files are not to blame; the text says why, where, and what to do."""


class StoreInUse(StoreUnusable):
    """Another process has the store open."""


def fault_of(path: Path, text: str) -> StoreBroken | StoreUnusable:
    """What an error of RocksDB or of the system means for the store at ``path``; nothing is written."""
    if any(each in text for each in _HELD):
        return StoreInUse(
            f"{path} is in use by another process (its file {LOCK} is locked): two processes have the same "
            f"data_dir, or the one before has not ended yet. Give each its own directory. {text}"
        )
    for number in _UNWRITABLE:
        if os.strerror(number) in text:
            return StoreUnusable(
                f"the disk under {path} is full or read-only ({os.strerror(number)}): make room or mount it "
                f"for writing, then start the worker again; nothing is lost. "
                f"What lies in {path.parent}/*{ASIDE}* may be deleted. {text}"
            )
    for number in _EXHAUSTED:
        if os.strerror(number) in text:
            return StoreUnusable(
                f"the process can't open the files of {path} ({os.strerror(number)}): raise its limits of "
                f"open files (ulimit -n) and memory. {text}"
            )
    return StoreBroken(text)


@contextmanager
def watched(path: Path) -> Iterator[None]:
    """Turns errors of files into StoreBroken, with a note beside the store, or StoreUnusable."""
    try:
        yield
    except Exception as error:
        # RocksDB's errors come as plain ``Exception`` only; anything more precise is a bug of ours.
        if type(error) is not Exception and not isinstance(error, OSError):
            raise
        # No name for it here: a cycle of exception and frame would keep RocksDB's iterators, and so its lock.
        raise _noted(path, str(error)) from error


def _noted(path: Path, text: str) -> StoreBroken | StoreUnusable:
    fault = fault_of(path, text)
    if isinstance(fault, StoreBroken):
        note_broken(path, text)
    return fault


def note_broken(path: Path, text: str) -> None:
    """Leave a note that the store at ``path`` must not be used again. A bad disk may keep none."""
    with suppress(OSError):
        _note(path).write_text(text)


def noted_fault(path: Path) -> str | None:
    """What a note says that was left beside the store; None: there is none."""
    note = _note(path)
    if not os.path.lexists(note):
        return None
    try:
        return note.read_text(errors="replace")
    except OSError as error:
        return f"it was noted as broken, and the note {note} can't be read: {error}"


def set_aside(path: Path) -> Path | None:
    """Rename what lies at ``path``, so that a new store can begin there.

    Returns the new name; None: nothing was there. Only the last one that was set aside is kept: it is for
    people to look at. The caller must have closed the store. Raises StoreInUse when another process works
    with it, and StoreUnusable when renaming fails.
    """
    check_unlocked(path)
    aside: Path | None = None
    try:
        if os.path.lexists(path):
            instant = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f".{time.time_ns() % 10**9:09}Z"
            aside = path.with_name(f"{path.name}{ASIDE}{instant}")
            path.rename(aside)
        _remove(_note(path))
    except OSError as error:
        fault = fault_of(path, str(error))
        if isinstance(fault, StoreBroken):
            fault = StoreUnusable(f"{path} is damaged and can't be set aside: {error}. Remove it by hand")
        raise fault from error
    forget_aside(path, aside)
    return aside


def forget_aside(path: Path, but: Path | None = None) -> None:
    """Remove what was set aside of a store."""
    for old in path.parent.glob(f"{path.name}{ASIDE}*"):
        if old != but:
            with suppress(OSError):
                _remove(old)


def make_directory(path: Path) -> None:
    """Make the directory where stores lie; it is this user's alone, because rows are of people.

    One that exists keeps its rights. Raises StoreUnusable.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        fault = fault_of(path, str(error))
        if isinstance(fault, StoreBroken):
            fault = StoreUnusable(f"{path} (worker.data_dir) can't be made a directory: {error}")
        raise fault from error


def wipe(path: Path) -> None:
    """Remove a partition's store; its rows come back from the changelog."""
    _remove(path)
    _remove(_note(path))


def check_unlocked(path: Path) -> None:
    """Raises StoreInUse where another process has the store open."""
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # nobody can have it open
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise fault_of(path, f"{_HELD[0]}: {path / LOCK}: {error.strerror}") from error
    finally:
        os.close(lock)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.parent / f"{path.name}.broken"
