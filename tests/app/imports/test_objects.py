"""Files in object stores, against an S3 server on this machine."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store, from_url

from app.failures import CommandFailed
from app.imports import objects
from app.imports.find import find_files
from app.imports.objects import fits, objects_at
from tests.app.imports.lab import ImportLab
from tests.app.imports.s3 import MISSING, s3_server
from tests.app.imports.test_import import ordered, shown, some_lines


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """The environment that leads to the server; there is a bucket ``shop``."""
    if MISSING:
        pytest.skip(MISSING)
    with s3_server("shop") as environment:
        yield environment


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    store = from_url("s3://shop")
    assert isinstance(store, S3Store)
    for page in obstore.list(store):
        obstore.delete(store, [each["path"] for each in page])
    return store


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("s3://shop", ["2024/a.jsonl", "2024/x/b.gz", "2025/c.jsonl"]),
        ("s3://shop/2024", ["2024/a.jsonl", "2024/x/b.gz"]),
        ("s3://shop/2024/", ["2024/a.jsonl", "2024/x/b.gz"]),
        ("s3://shop/2024/a.jsonl", ["2024/a.jsonl"]),
        ("s3://shop/202?/*.jsonl", ["2024/a.jsonl", "2025/c.jsonl"]),
        ("s3://shop/2024/*", ["2024/a.jsonl"]),
        ("s3://shop/2024/**", ["2024/a.jsonl", "2024/x/b.gz"]),
        ("s3://shop/**/[ab].*", ["2024/a.jsonl", "2024/x/b.gz"]),
    ],
)
def test_objects_folders_and_patterns_are_found(bucket: S3Store, place: str, found: list[str]) -> None:
    for path in ("2024/a.jsonl", "2024/x/b.gz", "2024/x/.hidden", "2024/empty/", "2025/c.jsonl"):
        obstore.put(bucket, path, b"" if path.endswith("/") else path.encode())
    files = find_files([place, place])
    assert [each.name for each in files] == [f"s3://shop/{each}" for each in found]
    assert [b"".join(each.chunks()).decode() for each in files] == found


def test_a_large_object_is_read_in_ranges(bucket: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "RANGE_BYTES", 7)
    obstore.put(bucket, "a", b"0123456789" * 5)
    (file,) = objects_at("s3://shop/a")
    assert [len(each) for each in file.chunks()] == [7] * 7 + [1]
    assert b"".join(file.chunks()) == b"0123456789" * 5


def test_what_is_not_there_is_told_without_a_secret(bucket: S3Store) -> None:
    for place, told in (("s3://shop/none", "there is no file"), ("s3://other/a", "NoSuchBucket")):
        with pytest.raises(CommandFailed, match=told) as raised:
            objects_at(place)
        assert str(raised.value).startswith(place)
        assert "hush" not in str(raised.value)
    obstore.put(bucket, "gone", b"1")
    (file,) = objects_at("s3://shop/gone")
    obstore.delete(bucket, "gone")
    with pytest.raises(CommandFailed, match="s3://shop/gone can't be read"):
        list(file.chunks())


def test_the_local_store_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.jsonl").write_text("a")
    assert [each.name for each in find_files([f"file://{tmp_path}/x/*.jsonl"])] == [
        f"file://{tmp_path}/x/a.jsonl"
    ]


@pytest.mark.parametrize(
    ("path", "pattern", "is_fitting"),
    [
        ("a/b/c", "**", True),
        ("a/b/c", "a/**/c", True),
        ("a/c", "a/**/c", True),
        ("a/b/c", "a/*", False),
        ("a", "a/**/c", False),
        ("A", "a", False),
    ],
)
def test_a_pattern_goes_part_by_part(path: str, pattern: str, is_fitting: bool) -> None:
    assert fits(path, pattern) is is_fitting


async def test_files_are_imported_from_an_object_store(
    kafka: str, topic_prefix: str, tmp_path: Path, s3: dict[str, str], bucket: S3Store
) -> None:
    lab = ImportLab(kafka, topic_prefix, tmp_path)
    lines = some_lines(50)
    obstore.put(bucket, "logs/a.jsonl.gz", gzip.compress("\n".join(lines).encode()))
    code, out = await asyncio.to_thread(lab.run, "s3://shop/logs/*.gz", **s3)
    assert code == 0, out
    assert shown(await lab.history()) == ordered(lines, 3)
    local = lab.file("same.jsonl", lines, end="")
    code, out = await asyncio.to_thread(lab.run, local)
    assert f"{local}: everything in it was imported before" in out
