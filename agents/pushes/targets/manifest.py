"""What lies beside a list's file: the manifest, and the mark that all of it is there.

Both are the same bytes whoever writes them and whenever, because they hold nothing but what is the list's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from agents.pushes.content.columns import called, columns_of, counted_names
from agents.pushes.content.encryption import told_encryption
from agents.pushes.contract.spooled import SpooledList
from agents.pushes.targets.stream import Written
from rules.time.instants import format_instant

MANIFEST: Final = "manifest.json"
SUCCESS: Final = "_SUCCESS"
"""Written last: whoever sees it may read the rest."""


class ManifestFile(msgspec.Struct, frozen=True):
    """``sha256`` is of the file as it lies there, so perhaps packed."""

    name: str
    rows: int
    bytes: int
    sha256: str


class ManifestId(msgspec.Struct, frozen=True):
    """``without``: members who don't have that id."""

    type: str
    called: str
    encryption: str
    rows: int
    without: int


class Manifest(msgspec.Struct, frozen=True):
    """What a list is. ``rows`` is the sum over the ids; its members were in the audience at ``instant``."""

    project: str
    push: str
    audience: str
    run_id: str
    list_id: str
    instant: str
    members: int
    rows: int
    format: str
    gzip: bool
    columns: tuple[str, ...]
    ids: tuple[ManifestId, ...]
    files: tuple[ManifestFile, ...]


class Success(msgspec.Struct, frozen=True):
    """The content of ``_SUCCESS``."""

    list_id: str
    manifest_sha256: str


_decode_manifest = msgspec.json.Decoder(Manifest).decode


def manifest_of(spooled: SpooledList, file: str, written: Written) -> Manifest:
    """Of a list in one file."""
    push, content = spooled.push, spooled.push.content
    ids = tuple(
        ManifestId(
            each.type,
            called(each),
            told_encryption(each),
            _at(spooled.by_id, name),
            _at(spooled.without, name),
        )
        for each, name in zip(content.ids, counted_names(content.ids), strict=True)
    )
    return Manifest(
        project=push.project,
        push=push.name,
        audience=push.audience,
        run_id=spooled.run_id,
        list_id=spooled.list_id,
        instant=format_instant(spooled.instant_ms),
        members=spooled.members,
        rows=spooled.rows,
        format=content.format.kind,
        gzip=content.format.gzip,
        columns=columns_of(content).names,
        ids=ids,
        files=(ManifestFile(file, spooled.rows, written.bytes, written.sha256),),
    )


def _at(counts: Mapping[str, int], name: str) -> int:
    return counts.get(name, 0)


def encode(value: Manifest | Success) -> bytes:
    """For people, too."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def read_manifest(data: bytes) -> Manifest | None:
    """None: it isn't one of ours."""
    try:
        return _decode_manifest(data)
    except msgspec.DecodeError:
        return None
