"""Whatever is wrong with a worker's local files, its rows come back; a full or read-only disk is named."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tables.store import RocksMemory, RocksStore, Write
from tables.store_faults import ASIDE
from tests.stage.log import make_log
from tests.stage.scene import scene

SEED = 83


@contextmanager
def _small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, so that it can be full or read-only."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"this user may not mount a small disk: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


async def test_every_kind_of_damage_is_mended_by_one_start(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(SEED, records=3_000, users=400)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        await stage.load(log)
        worker = stage.worker(worker__id="w1")
        worker.start()
        await stage.finished()
        worker.stop()
        no_manifest, no_folder, bad_meta, bad_note = (worker.partition_folder(each) for each in range(4))
        for path in no_manifest.glob("MANIFEST-*"):
            path.unlink()
        shutil.rmtree(no_folder)
        no_folder.write_text("a file where the folder should be")
        store = RocksStore(bad_meta, RocksMemory.of(8 << 20, 8 << 20))
        store.write(Write(meta=b"\xc1garbage"))
        store.close()
        bad_note.with_name(f"{bad_note.name}.broken").mkdir()
        (worker.data / "v1").write_text("a file where Faust would have a folder")
        worker.start()
        await stage.finished()
        await stage.assert_right(log)
        _, body = await worker.get("/readyz?verbose")
        told = {each["place"]: each["text"] for each in body["warnings"] if each["code"] == "store_broken"}
        assert told.keys() == {str(each) for each in (no_manifest, no_folder, bad_meta, bad_note)}
        assert "MANIFEST" in told[str(no_manifest)]
        for place, text in told.items():
            (aside,) = worker.data.glob(f"{Path(place).name}{ASIDE}*")
            assert str(aside) in text
        worker.stop()


async def test_a_worker_that_restores_at_its_start_ends_when_it_is_asked_to(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define()
        worker = stage.worker()
        worker.start()
        await worker.wait_ready()
        worker.stop()
        worker.log_file.unlink()
        held = RocksStore(worker.partition_folder(0), RocksMemory.of(8 << 20, 8 << 20))  # it waits for it
        worker.start()
        await stage.until(lambda: worker.logged("Recovery]: Starting"), "it restores")
        began = time.monotonic()
        worker.stop()
        assert time.monotonic() - began < 8
        assert not worker.logged("Traceback")
        held.close()
        worker.start()
        await worker.wait_ready()
        worker.stop()


@pytest.mark.slow
async def test_a_full_disk_stops_the_worker_with_the_path_and_room_lets_it_go_on(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(SEED + 1, records=6_000, users=3_000)
    with _small_disk(tmp_path / "disk", "400k") as disk:
        async with scene(kafka, topic_prefix, tmp_path) as stage:
            await stage.define()
            await stage.load(log)
            worker = stage.worker()
            worker.settings["worker.data_dir"] = str(disk / "rows")
            worker.start()
            await stage.until_ended(worker)
            # Once more, because the disk is full already when it starts.
            worker.start()
            await stage.until_ended(worker)
            text = worker.log_file.read_text()
            assert text.count("is full or read-only (No space left on device)") >= 2
            assert f"the disk under {disk}/rows" in text
            assert not list(disk.glob(f"**/*{ASIDE}*"))
            _remount(disk, "size=200m")
            worker.start()
            await stage.finished()
            await stage.assert_right(log)
            worker.stop()
            _remount(disk, "ro")
            worker.start()
            await stage.until_ended(worker)
            assert "is full or read-only (Read-only file system)" in worker.log_file.read_text()
            assert not list(disk.glob(f"**/*{ASIDE}*"))
