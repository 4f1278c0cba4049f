"""The note of a partition's *cut*: which versions of the audiences decide there, and since when.

It lies in the changelog and in the store (like ``tables.refused``), under one key, so the latest one holds.
A cut happens in one step without records: the note is written whole or not at all.
"""

from __future__ import annotations

import msgspec

from rules.state.row import Cause

CUT_KEY = b"\x00\x00cut"


class Cut(msgspec.Struct, array_like=True):
    """The versions in force in a partition, and how they came there."""

    epoch: int = 0
    """Rules epoch: how many shadows were grafted here. Rows note the one of their last write."""
    active: dict[str, int] = {}
    """Version in force per audience, by ``project/id``; a deleted one's is that of its deletion."""
    stream_time_ms: int = 0
    """The partition's, at the cut."""
    positions: dict[int, int] = {}
    """Last offset taken of each source partition (``tables.codec.source_key``) at the cut."""
    shadow: str = ""
    """Name of the shadow's store; empty: there was none."""
    begin_ms: int = 0
    """The shadow's history begins here; 0: with the first record that ever was."""
    targets: dict[str, dict[int, Cause]] = {}
    """Per project the keys of the audiences that the shadow computed, with the cause of transitions."""
    fresh: dict[str, list[int]] = {}
    """Per project the keys of the conditions whose states are the shadow's."""
    silent: dict[str, list[int]] = {}
    """Per project the keys of audiences that take their members in without transitions."""
    short: dict[str, dict[int, int]] = {}
    """Per project the keys of conditions whose states rest on less history than they look back, and from when
    on (ms) they are whole."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Cut).decode


def encode_cut(cut: Cut) -> bytes:
    return _encode(cut)


def decode_cut(value: bytes) -> Cut:
    """Raises msgspec.DecodeError."""
    return _decode(value)
