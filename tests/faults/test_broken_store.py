"""A store whose files are damaged says so, whatever is read, and isn't used again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tables.store import RocksMemory, RocksStore, StoreBroken, Write, wipe
from tests.stage.workers import spoil

USERS = 3000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with damaged rows and timer index; what is last in key order stays whole."""
    path = tmp_path / "store"
    store = RocksStore(path, _memory())
    keys = [f"user-{number}".encode() for number in range(USERS)]
    store.write(
        Write(
            rows=[(key, key * 9) for key in keys],
            timers_added=[(number, key) for number, key in enumerate(keys)],
            meta=b"meta",
        )
    )
    store._db.flush()
    store.close()
    for file in path.glob("*.sst"):
        spoil(file)
    return path


def _memory() -> RocksMemory:
    return RocksMemory.of(8 << 20, 8 << 20)


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.get_many([f"user-{number}".encode() for number in range(USERS)]),
        lambda store: store.scan(b"", USERS),
        lambda store: store.timers(0, USERS, USERS),
    ],
    ids=["get_many", "scan", "due"],
)
def test_damage_is_met_aloud(path: Path, read: Callable[[RocksStore], object]) -> None:
    store = RocksStore(path, _memory())
    with pytest.raises(StoreBroken, match="Corruption"):
        read(store)
    store.close()
    with pytest.raises(StoreBroken, match="Corruption"):
        RocksStore(path, _memory())
    wipe(path)
    store = RocksStore(path, _memory())
    assert store.scan(b"", 10) == []
    store.close()


def test_another_process_with_the_store_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = RocksStore(path, _memory())
    store.write(Write(rows=[(b"ann", b"row")]))
    with pytest.raises(Exception, match=r"(?i)lock") as raised:
        RocksStore(path, _memory())
    assert not isinstance(raised.value, StoreBroken)
    store.close()
    store = RocksStore(path, _memory())
    assert store.scan(b"", 10) == [(b"ann", b"row")]
    store.close()
