"""Who has which identity: the claims of one partition, and for each identity the user whose claim is newest.

A user *claims* an identity and may give it up (``rules.state.identities``). Of the claims that stand the
newest one holds; of two that are equally old, that of the user whose id sorts last. An identity that several
users claim is a *collision*.

The claims come from a compacted topic (``tables.claims``), of each user in their order, perhaps some of them
again. What the store has in the end depends on nothing else: neither on the order among users nor on what
compaction took. They lie in a ``RowStore`` under these keys:

    c<key of the record>     (time, whether the user gave it up)
    h<prefix of its keys>    ``Holder``; absent where no claim stands
    x<prefix of its keys>    of a collision
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import msgspec

from tables.claims import (
    ClaimUnreadable,
    Identity,
    Record,
    Standing,
    claim_key,
    decode_key,
    decode_standing,
    identity_prefix,
    project_prefix,
)
from tables.erased import buried_notes
from tables.meta import StoreMeta, decode_meta, encode_meta
from tables.row_store import RowStore, Write

_CLAIM, _HOLDER, _COLLISION = b"c", b"h", b"x"
_NOTE: Final = b"identities"
_PAGE: Final = 1_000
MOST_LISTED: Final = 20
"""Users that are named of those who claim one identity; a value that means nothing has millions."""


class Holder(msgspec.Struct, array_like=True, frozen=True):
    """The user who has an identity."""

    user_id: str
    time_ms: int
    claimants: int
    """How many users claim it."""


class _Note(msgspec.Struct, array_like=True):
    collisions: int = 0
    read_ms: int = 0
    erased_next: int = 0


@dataclass(frozen=True, slots=True)
class Collision:
    """An identity that several users claim."""

    identity: Identity
    claimants: int
    """How many they are."""
    claims: Sequence[tuple[str, int]]
    """User and instant (ms): the one who has it, then up to ``MOST_LISTED`` - 1 others by their ids."""


_encode = msgspec.msgpack.Encoder().encode
_decode_standing = msgspec.msgpack.Decoder(Standing).decode
_decode_holder = msgspec.msgpack.Decoder(Holder).decode
_decode_note = msgspec.msgpack.Decoder(_Note).decode


class IdentityStore:
    """The claims of one partition of the topic. Reads and writes raise ``StoreBroken`` for damaged files."""

    def __init__(self, store: RowStore) -> None:
        self._store = store
        meta = store.meta()
        known = StoreMeta(0, b"") if meta is None else decode_meta(meta)
        self.position = known.changelog_next
        """Offset of the next record to take."""
        self.topic_id = known.changelog_id
        notes = dict(store.notes())
        note = _decode_note(notes[_NOTE]) if _NOTE in notes else _Note()
        self.collisions = note.collisions
        """How many identities are claimed by several users."""
        self.read_ms = note.read_ms
        """When it was last known to have all of the topic, by the wall clock; 0: never."""
        self.erased_next = note.erased_next
        """Nothing is left of the users whose erasures are before this offset of their topic."""

    def take(self, records: Iterable[Record], position: int, topic_id: bytes, read_ms: int = 0) -> list[str]:
        """Take records in their order, and remember the position after them; why some are no claims.

        ``read_ms``: with these the store has all of the topic, at this instant; 0: that isn't known.
        """
        unreadable: list[str] = []
        claims = list(_read(records, unreadable))
        taking = _Taking(self._store, claims)
        for (identity, user_id), said in claims:
            taking.take(identity, user_id, said)
        self.position, self.topic_id = position, topic_id
        self.collisions += taking.more_collisions
        self.read_ms = max(self.read_ms, read_ms)
        rows, deleted = taking.changes()
        forgets = any(isinstance(said, int) for _, said in claims)
        self._write(rows, deleted, forgets)
        return unreadable

    def note_erased(self, erased_next: int) -> None:
        """Nothing is left of the users whose erasures are before this offset."""
        self.erased_next = erased_next
        self._write()

    def _write(
        self, rows: Sequence[tuple[bytes, bytes]] = (), deleted: Sequence[bytes] = (), forgets: bool = False
    ) -> None:
        """``forgets``: what was there before is to go from the files, too."""
        note = _Note(self.collisions, self.read_ms, self.erased_next)
        meta = encode_meta(StoreMeta(self.position, b"", self.topic_id))
        notes: list[tuple[bytes, bytes | None]] = [(_NOTE, _encode(note))]
        if forgets:
            notes += buried_notes([*(key for key, _ in rows), *deleted])
        self._store.write(Write(rows=rows, deleted=deleted, meta=meta, notes=notes))

    @property
    def files(self) -> RowStore:
        """The store itself, for its cleaning."""
        return self._store

    def holders(self, identities: Sequence[Identity]) -> list[Holder | None]:
        """Who has each of these identities; None: nobody."""
        found = self._store.get_many([_HOLDER + identity_prefix(each) for each in identities])
        return [None if each is None else _decode_holder(each) for each in found]

    def collided(self, project: str, after: bytes, limit: int) -> tuple[list[Collision], bytes | None]:
        """Up to ``limit`` collisions of a project, and where the next ones begin; None: there are no more."""
        found: list[Collision] = []
        start = _COLLISION + project_prefix(project)
        rows = [row for row in self._store.scan(after or start, limit + 1) if row[0].startswith(start)]
        for key, _ in rows[:limit]:
            prefix = key[1:]
            (identity, _) = decode_key(prefix + b'""]')
            (holder,) = self.holders([identity])
            if holder is None:
                continue
            others = (each for each in _standing_claims(self._store, prefix) if each[0] != holder.user_id)
            claims = [(holder.user_id, holder.time_ms), *islice(others, MOST_LISTED - 1)]
            found.append(Collision(identity, holder.claimants, claims))
        return found, rows[limit - 1][0] if len(rows) > limit else None

    def standing(self, keys: Sequence[bytes]) -> list[Standing | None]:
        """What the claims with these keys say; None: there is none."""
        found = self._store.get_many([_CLAIM + each for each in keys])
        return [None if each is None else _decode_standing(each) for each in found]

    def claims(self, after: bytes, limit: int) -> list[tuple[bytes, Standing]]:
        """Up to ``limit`` claims with a key above ``after``, in order, also those that were given up."""
        rows = self._store.scan(_CLAIM + after, limit)
        return [(key[1:], _decode_standing(value)) for key, value in rows if key.startswith(_CLAIM)]

    def close(self) -> None:
        self._store.close()


@dataclass(slots=True)
class _Taking:
    """Claims on their way into a store: what it has of them, and what becomes of that."""

    store: RowStore
    claims: Iterable[tuple[tuple[Identity, str], Standing | int]]
    more_collisions: int = 0
    _known: dict[bytes, bytes | None] = field(default_factory=dict)
    _changed: dict[bytes, bytes | None] = field(default_factory=dict)
    _users: dict[Identity, dict[str, Standing | None]] = field(default_factory=dict)
    """Of identities, the users whose claims change here."""

    def __post_init__(self) -> None:
        keys = {
            key
            for (identity, user_id), _ in self.claims
            for key in (_CLAIM + claim_key(identity, user_id), _HOLDER + identity_prefix(identity))
        }
        ordered = sorted(keys)
        self._known = dict(zip(ordered, self.store.get_many(ordered), strict=True))

    def take(self, identity: Identity, user_id: str, said: Standing | int) -> None:
        """``said``: the claim, or the instant up to which it is forgotten."""
        key, prefix = _CLAIM + claim_key(identity, user_id), identity_prefix(identity)
        known = self._now(key)
        old = None if known is None else _decode_standing(known)
        new, time_ms = (None, said) if isinstance(said, int) else (said, said.time_ms)
        if old is not None and time_ms < old.time_ms:
            return  # it comes again, and a later one was there already
        self._changed[key] = None if new is None else _encode(new)
        self._users.setdefault(identity, {})[user_id] = new
        before = _stands(old)
        is_standing = new is not None and not new.unset
        if before or is_standing:
            self._hold(identity, prefix, user_id, new if is_standing else None, is_standing - before)

    def _hold(
        self, identity: Identity, prefix: bytes, user_id: str, claim: Standing | None, more: int
    ) -> None:
        """The user claims the identity (None: no longer); ``more`` claims stand than before."""
        known = self._now(_HOLDER + prefix)
        holder = Holder("", 0, 0) if known is None else _decode_holder(known)
        claimants = holder.claimants + more
        newest = holder.user_id, holder.time_ms
        if claim is not None:
            if known is None or (claim.time_ms, user_id) >= (holder.time_ms, holder.user_id):
                newest = user_id, claim.time_ms
        elif holder.user_id == user_id and claimants:
            newest = self._next(identity, prefix)
        self._changed[_HOLDER + prefix] = _encode(Holder(*newest, claimants)) if claimants else None
        if (claimants > 1) != (holder.claimants > 1):
            self.more_collisions += 1 if claimants > 1 else -1
            self._changed[_COLLISION + prefix] = b"" if claimants > 1 else None

    def _next(self, identity: Identity, prefix: bytes) -> tuple[str, int]:
        """User and instant of the newest claim that stands."""
        standing = dict(_standing_claims(self.store, prefix))
        for user_id, claim in self._users[identity].items():
            if claim is None or claim.unset:
                standing.pop(user_id, None)
            else:
                standing[user_id] = claim.time_ms
        time_ms, user_id = max((time_ms, user_id) for user_id, time_ms in standing.items())
        return user_id, time_ms

    def _now(self, key: bytes) -> bytes | None:
        return self._changed[key] if key in self._changed else self._known.get(key)

    def changes(self) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
        """What the store gets, and what it loses."""
        changed = sorted(self._changed.items())
        return [(key, each) for key, each in changed if each is not None], [
            key for key, each in changed if each is None
        ]


def _read(
    records: Iterable[Record], unreadable: list[str]
) -> Iterator[tuple[tuple[Identity, str], Standing | int]]:
    for key, value, erased_ms in records:
        try:
            yield decode_key(key), erased_ms if value is None else decode_standing(value)
        except ClaimUnreadable as error:
            unreadable.append(str(error))


def _stands(claim: Standing | None) -> bool:
    return claim is not None and not claim.unset


def _standing_claims(store: RowStore, prefix: bytes) -> Iterator[tuple[str, int]]:
    """User and instant of each claim of an identity that stands."""
    for key, value in _scan(store, _CLAIM + prefix):
        standing = _decode_standing(value)
        if not standing.unset:
            yield decode_key(key[1:])[1], standing.time_ms


def _scan(store: RowStore, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    after = prefix  # no key is as short as that
    while rows := store.scan(after, _PAGE):
        for key, value in rows:
            if not key.startswith(prefix):
                return
            yield key, value
        after = rows[-1][0]
