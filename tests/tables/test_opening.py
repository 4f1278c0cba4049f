"""A store opens whatever its files look like; only what a new store would not mend is an error."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rules.state.row import Row
from tables.codec import RowUnreadable, encode_row
from tables.meta import StoreMeta, encode_meta
from tables.opening import open_store
from tables.profiles import Profiles
from tables.store import RocksMemory, RocksStore, Write
from tables.store_faults import (
    ASIDE,
    StoreBroken,
    StoreInUse,
    StoreUnusable,
    fault_of,
    make_directory,
    set_aside,
)
from tests import ROOT

MEMORY = RocksMemory.of(8 << 20, 8 << 20)
META = encode_meta(StoreMeta(7, b""))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store with rows on disk and rows in its log."""
    path = tmp_path / "store-0"
    store = RocksStore(path, MEMORY)
    store.write(Write(rows=[(b"ann", b"row")], meta=META))
    store._db.flush()
    store.write(Write(rows=[(b"bob", b"row")]))
    store.close()
    return path


def _files(pattern: str, change: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        found = list(path.glob(pattern))
        assert found
        for each in found:
            change(each)

    return damage


def _into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _into_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("not a store")


def _into_link(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to("/nowhere")


def _written(meta: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        store = RocksStore(path, MEMORY)
        store.write(Write(meta=meta))
        store.close()

    return damage


DAMAGES = {
    "no MANIFEST": _files("MANIFEST-*", Path.unlink),
    "a garbled MANIFEST": _files("MANIFEST-*", lambda each: each.write_bytes(b"garbage")),
    "a garbled CURRENT": _files("CURRENT", lambda each: each.write_bytes(b"\xff\x00")),
    "a folder as CURRENT": _files("CURRENT", _into_folder),
    "a folder as LOCK": _files("LOCK", _into_folder),
    "no SST": _files("*.sst", Path.unlink),
    "an empty SST": _files("*.sst", lambda each: each.write_bytes(b"")),
    "a folder as SST": _files("*.sst", _into_folder),
    "a file": _into_file,
    "a link to nowhere": _into_link,
    "garbage as meta": _written(b"\xc1garbage"),
    "a garbled checkpoint": _written(encode_meta(StoreMeta(7, b"\xc1"))),
    "meta of another shape": _written(b"\x93\x01\x02"),
    "a note": lambda path: path.with_name("store-0.broken").write_bytes(b"\xff damaged"),
    "a folder as note": lambda path: path.with_name("store-0.broken").mkdir(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_files_are_set_aside_and_an_empty_store_begins(
    path: Path, damage: Callable[[Path], None]
) -> None:
    damage(path)
    opened = open_store(path, MEMORY)
    assert (opened.meta, opened.store.scan(b"", 9)) == (None, [])
    assert opened.fault
    assert opened.aside is not None
    opened.store.write(Write(rows=[(b"cid", b"row")], meta=META))
    opened.store.close()
    again = open_store(path, MEMORY)
    assert (again.fault, again.store.scan(b"", 9)) == (None, [(b"cid", b"row")])
    again.store.close()


def test_only_the_last_store_that_was_set_aside_is_kept(path: Path) -> None:
    kept = []
    for _ in range(3):
        RocksStore(path, MEMORY).close()
        kept.append(set_aside(path))
    assert list(path.parent.iterdir()) == [kept[-1]]


def test_files_that_are_whole_but_not_ours_to_judge_stay(path: Path) -> None:
    for each in (*path.glob("OPTIONS-*"), path / "IDENTITY", path / "LOG"):
        each.write_bytes(b"\xffgarbage")
    opened = open_store(path, MEMORY)
    assert opened.fault is None
    assert [key for key, _ in opened.store.scan(b"", 9)] == [b"ann", b"bob"]
    opened.store.close()


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Another process has the store open."""
    code = (
        "import sys, pathlib; from tables.store import *; "
        "store = RocksStore(pathlib.Path(sys.argv[1]), RocksMemory.of(1 << 23, 1 << 23)); "
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("noted", [False, True], ids=["whole", "noted as broken"])
def test_another_process_keeps_its_store(path: Path, noted: bool) -> None:
    with _held(path):
        if noted:
            path.with_name("store-0.broken").write_text("damaged")
        with pytest.raises(StoreInUse, match=r"store-0 is in use by another process.*the same data_dir"):
            open_store(path, MEMORY)
        assert (path / "CURRENT").exists()
        assert not list(path.parent.glob(f"*{ASIDE}*"))


def test_a_row_that_cannot_be_read_is_damage_unless_a_newer_program_wrote_it(path: Path) -> None:
    row = encode_row(Row(now_ms=1))
    opened = open_store(path, MEMORY)
    rows = {b"a": row, b"b": b"\x03" + row[1:], b"c": b"\xffgarbage", b"d": row[:-3], b"e": b""}
    opened.store.write(Write(rows=list(rows.items())))
    profiles = Profiles(opened.store, 10)
    assert profiles.read(b"a") is not None
    with pytest.raises(RowUnreadable):
        profiles.load([b"b"])
    assert not path.with_name("store-0.broken").exists()
    for key in (b"c", b"d", b"e"):
        with pytest.raises(StoreBroken, match=f"the row of b'{key.decode()}'"):
            profiles.load([key])
        assert path.with_name("store-0.broken").exists()
    opened.store.close()
    opened = open_store(path, MEMORY)
    assert opened.fault is not None
    opened.store.close()


@pytest.mark.parametrize(
    "text",
    [
        "IO error: No space left on device: While appending to file: /d/store-0/000004.log: No space left",
        "IO error: While open a file for appending: /d/store-0/000010.dbtmp: Read-only file system",
        "IO error: While mkdir: /d/store-0: Disk quota exceeded",
        "IO error: While appending to file: /d/store-0/000004.log: File too large",
        "IO error: While open a file for random read: /d/store-0/000011.sst: Too many open files",
    ],
)
def test_what_a_new_store_would_not_mend_is_no_damage(text: str) -> None:
    fault = fault_of(Path("/d/store-0"), text)
    assert isinstance(fault, StoreUnusable)
    assert "/d/store-0" in str(fault)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreUnusable, match=r"data \(worker\.data_dir\) can't be made a directory"):
        open_store(tmp_path / "data" / "store-0", MEMORY)


def test_a_directory_that_is_made_for_rows_is_this_users_alone(tmp_path: Path) -> None:
    made, existing = tmp_path / "a" / "rows", tmp_path / "shared"
    existing.mkdir(mode=0o750)
    for each in (made, existing):
        make_directory(each)
    assert [each.stat().st_mode & 0o777 for each in (made, existing)] == [0o700, 0o750]
