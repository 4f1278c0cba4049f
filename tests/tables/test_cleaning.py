"""The files of a store after users were erased: raw bytes, because a deletion takes none of them away."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tables.cleaning import Cleaning
from tables.erased import UNBURIED
from tables.store import RocksMemory, RocksStore, Write

ANN, SECRET = b"ann-who-wants-to-be-forgotten", b"cents-of-ann-77777"


def opened(path: Path) -> RocksStore:
    return RocksStore(path, RocksMemory.of(8 << 20, 8 << 20))


def found_in(path: Path) -> set[str]:
    """Names of files that hold something of Ann, as text or in hexadecimal digits."""
    files = [(each, each.read_bytes()) for each in path.parent.rglob("*") if each.is_file()]
    wanted = [*(ANN, SECRET), *(each.hex().encode() for each in (ANN, SECRET))]
    return {each.name for each, content in files if any(one in content.lower() for one in wanted)}


def filled(path: Path) -> RocksStore:
    """A store in whose files Ann is everywhere, and erased."""
    store = opened(path)
    others = [(b"user-%d" % each, bytes(100)) for each in range(500)]
    store.write(Write(rows=others, members_added=[(7, b"user-1")]))
    mine = Write(rows=[(ANN, SECRET)], timers_added=[(5, ANN)], members_added=[(7, ANN)])
    mine.notes = [(UNBURIED + ANN, b"1")]
    store.write(mine)
    store.close()
    store = opened(path)
    store.write(Write(rows=others))
    store.write(
        Write(
            deleted=[ANN],
            timers_dropped=[(5, ANN)],
            members_dropped=[(7, ANN)],
            notes=[(UNBURIED + ANN, None)],
        )
    )
    return store


def test_clean_files_hold_no_byte_of_who_was_erased(tmp_path: Path) -> None:
    path = tmp_path / "0"
    store = filled(path)
    (tmp_path / "0.broken.20260101").mkdir()
    (tmp_path / "0.broken.20260101" / "000001.sst").write_bytes(ANN)
    assert store.is_unclean
    assert found_in(path)
    assert store.clean()
    assert found_in(path) == set()
    assert not store.is_unclean
    assert store.get_many([b"user-1"]) == [bytes(100)]
    assert (store.members(7, b"", 9), store.sizes()) == ([b"user-1"], {7: 1})
    store.close()


def test_a_restart_before_the_cleaning_forgets_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "0"
    filled(path).close()
    store = opened(path)
    assert store.is_unclean
    assert store.clean()
    assert found_in(path) == set()
    store.close()
    store = opened(path)
    assert not store.is_unclean
    store.close()


def test_a_store_that_closes_meanwhile_stays_unclean(tmp_path: Path) -> None:
    path = tmp_path / "0"
    store = filled(path)
    done: list[bool] = []
    cleaning = threading.Thread(target=lambda: done.append(store.clean()))
    cleaning.start()
    store.close()
    cleaning.join()
    assert not store.clean(), "it is closed"
    store = opened(path)
    assert store.is_unclean is not done[0]
    store.close()


def test_who_is_buried_while_files_are_cleaned_is_still_to_be_cleaned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "0"
    store = filled(path)
    again = Cleaning._write_again

    def and_bob(self: Cleaning, keys: list[bytes] | None) -> None:
        again(self, keys)
        store.write(Write(notes=[(UNBURIED + b"bob", None)]))

    with monkeypatch.context() as patched:
        patched.setattr(Cleaning, "_write_again", and_bob)
        assert store.clean()
    assert store.is_unclean
    assert store.clean()
    assert not store.is_unclean
    store.close()
