"""How rows, outboxes and checkpoints are written: one version byte, then a msgpack array.

The same bytes go to the changelog topic and to RocksDB. Old versions stay readable (``decode_row``);
golden files in ``tests/tables`` pin each.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any
from zlib import crc32

import msgspec

from rules.decide.upgrade import OLD
from rules.state.identities import Claim
from rules.state.row import Membership, Row, Transition

ROW_VERSION = b"\x02"
_OLD_VERSION = b"\x01"
_VERSIONS_END = b"\x20"
"""No version byte will ever be as high: what begins so is no row."""
CHECKPOINT_KEY = b"\x00\x00marker"
"""Key of the changelog record that holds a partition's ``Checkpoint``. No row key starts with two NULs."""


class RowUnreadable(Exception):
    """A stored row has a version that this program does not know: it was written by a newer one."""


class _OldRow(msgspec.Struct, array_like=True):
    """A row of version 1: memberships have their instants as they are, ids have 8 bytes and their ms."""

    now_ms: int
    timer_ms: int | None = None
    applied: dict[int, int] = {}
    conditions: dict[int, Any] = {}
    audiences: dict[int, Membership] = {}
    attributes: dict[str, object] = {}
    changed_ms: dict[str, int] = {}
    identities: dict[str, str] = {}
    seen: bytes = b""
    changed_paths: dict[str, int] = {}


class RowHead(msgspec.Struct, array_like=True):
    """The first fields of a row: what the indexes need."""

    now_ms: int
    timer_ms: int | None
    applied: msgspec.Raw
    conditions: msgspec.Raw
    audiences: dict[int, Membership]


class Letter(msgspec.Struct, array_like=True):
    """A record that was refused because of its user's row, with the reason.

    Kept, because after a crash it is not looked at again when its row has taken later records.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    origin: tuple[str, int, int]
    """Topic, partition and offset that the producer wrote to."""
    code: str
    message: str
    stage: str


class Outbox(msgspec.Struct, array_like=True):
    """The outputs of a row that were not known to be in Kafka when the row was written."""

    step: int
    transitions: list[Transition]
    claims: list[Claim] = []
    """Of identities."""


class UnsentLetters(msgspec.Struct, array_like=True):
    """The refused records of a partition that were not known to be in Kafka when a checkpoint was written."""

    step: int
    letters: list[Letter]


class Ground(msgspec.Struct, array_like=True):
    """What the topics were when the checkpoint was written, so that others under their names are noticed."""

    topics: dict[int, bytes] = {}
    """Id of each topic that the worker reads and writes, by ``topic_key``; none where brokers give no ids."""
    prints: dict[int, int] = {}
    """``record_print`` of the last record taken of each source partition, by its key in ``positions``."""
    accepted: dict[str, int] = {}
    """Source topics that were made again and accepted, with the instant (ms) of the last acceptance. It is
    part of the names of their partitions (``source_key``): old offsets don't count for the new topic."""
    definitions: int = 0
    """How many definitions were known, deleted ones included."""
    top_version: int = 0
    """The highest version of a definition that was ever known."""
    version_floor: int = 0
    """``top_version`` when the definitions topic was accepted again: numbering goes on above it."""
    whole_from: int = 0
    """The changelog has every row from this offset on; above 0 once it was rebuilt from a store."""


class Checkpoint(msgspec.Struct, array_like=True):
    """What one partition of the table knows of itself: first and last record of every changelog batch.

    The first speaks of the time before the step, the last of the time after it. So records that come
    again are taken as they were the first time, however much of the step was written.
    """

    step: int
    """Number of the step that this batch holds."""
    acked_step: int
    """Every output of the steps up to this one is in Kafka."""
    stream_time_ms: int
    swept: str
    """Fingerprint of the rules under which every row was last looked at."""
    partitions: int
    """Number of partitions of the table; a user's place depends on it."""
    positions: dict[int, int] = {}
    """Last offset taken of each source partition (``source_key``)."""
    swept_ms: int = 0
    """When the latest of these rules was published."""
    judged: dict[int, int] = {}
    """Last offsets whose timestamps are judged, where they differ from ``positions``: in the first checkpoint
    of a step. Up to there records with a note (``tables.refused``) are refused and all others are taken,
    whatever the wall clock says when they are read again."""
    ground: Ground = msgspec.field(default_factory=Ground)


_encoder = msgspec.msgpack.Encoder()
_encode = _encoder.encode
_encode_into = _encoder.encode_into
_row = bytearray(ROW_VERSION)
_decode_row = msgspec.msgpack.Decoder(Row).decode
_decode_old_row = msgspec.msgpack.Decoder(_OldRow).decode
_decode_head = msgspec.msgpack.Decoder(RowHead).decode
_decode_outbox = msgspec.msgpack.Decoder(Outbox).decode
_decode_letters = msgspec.msgpack.Decoder(UnsentLetters).decode
_decode_checkpoint = msgspec.msgpack.Decoder(Checkpoint).decode


def encode_row(row: Row) -> bytes:
    _encode_into(row, _row, 1)  # one copy less than putting the version before it
    return bytes(_row)


def decode_row(value: bytes) -> Row:
    """Raises RowUnreadable. The states of a row of version 1 must be upgraded (``rules.decide.upgrade``)."""
    if value[:1] != ROW_VERSION:
        return _old_row(value)
    return _decode_row(memoryview(value)[1:])


def decode_head(value: bytes) -> RowHead:
    """Only what the indexes need; a fifth of the time of ``decode_row``. Raises RowUnreadable."""
    _check_version(value)
    return _decode_head(memoryview(value)[1:])


def is_newer(value: bytes) -> bool:
    """Whether bytes that ``decode_row`` refuses may be a row of a newer program, by their version."""
    return ROW_VERSION < value[:1] < _VERSIONS_END


def encode_outbox(outbox: Outbox) -> bytes:
    return _encode(outbox)


def decode_outbox(value: bytes) -> Outbox:
    return _decode_outbox(value)


def encode_letters(letters: UnsentLetters) -> bytes:
    return _encode(letters)


def decode_letters(value: bytes) -> UnsentLetters:
    return _decode_letters(value)


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    return _encode(checkpoint)


def decode_checkpoint(value: bytes) -> Checkpoint:
    return _decode_checkpoint(value)


def encode_attributes(attributes: dict[str, object]) -> bytes:
    return _encode(attributes)


def row_key(project: str, user_id: str) -> bytes:
    """The user's id; users of other projects than ``default`` have the project in front."""
    if project == "default":
        return user_id.encode()
    return f"\0{project}\0{user_id}".encode()


def split_row_key(key: bytes) -> tuple[str, str]:
    """(project, user id) of a row key."""
    if key.startswith(b"\0"):
        project, user_id = key[1:].decode().split("\0", 1)
        return project, user_id
    return "default", key.decode()


def source_key(topic: str, partition: int, accepted: int = 0) -> int:
    """32-bit name of a source partition in ``Row.applied``; ``accepted`` is that of ``Ground``."""
    name = f"{topic}/{partition}" if not accepted else f"{topic}@{accepted}/{partition}"
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")


def topic_key(topic: str) -> int:
    """32-bit name of a topic in ``Ground.topics``."""
    return source_key(topic, -1)


def record_print(timestamp_ms: int, key: bytes | None, value: bytes | None) -> int:
    """32 bits by which a record is known again at its offset (CRC-32)."""
    return crc32(value or b"", crc32(key or b"", timestamp_ms & 0xFFFF_FFFF))


def _old_row(value: bytes) -> Row:
    _check_version(value)
    old = _decode_old_row(memoryview(value)[1:])
    row = Row(
        now_ms=old.now_ms,
        timer_ms=old.timer_ms,
        applied=old.applied,
        conditions=old.conditions,
        audiences=old.audiences,
        attributes=old.attributes,
        changed_ms=old.changed_ms,
        identities=old.identities,
        changed_paths=old.changed_paths,
        base_ms=old.now_ms,
        used=OLD,
    )
    for membership in row.audiences.values():
        membership.since_ms -= row.base_ms
    first_ms = int.from_bytes(old.seen[:8], "big", signed=True)
    for at in range(8, len(old.seen), 12):
        applied_ms = first_ms + int.from_bytes(old.seen[at + 8 : at + 12], "big")
        row.seen += old.seen[at : at + 6]
        row.seen_at += (applied_ms // 1000, 1)
    return row


def _check_version(value: bytes) -> None:
    if value[:1] not in (ROW_VERSION, _OLD_VERSION):
        raise RowUnreadable(f"row version {value[:1].hex()} is not known; this program reads 01 and 02")
