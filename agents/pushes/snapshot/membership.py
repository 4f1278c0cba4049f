"""Rows of a held partition to the members of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from agents.pushes.contract.member import Member
from agents.pushes.snapshot.undone import InstantPassed, Undone
from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.decide.decide import fire
from rules.decide.predict import predict_exit
from rules.decide.upgrade import OLD
from rules.state.identities import GONE
from rules.state.row import Membership, Row
from tables.codec import ROW_VERSION, decode_row, split_row_key


class RowOfMember(msgspec.Struct, array_like=True, gc=False):
    """The first fields of a row: what a list needs of it."""

    now_ms: int
    timer_ms: int | None
    applied: msgspec.Raw
    conditions: msgspec.Raw
    audiences: dict[int, Membership]
    attributes: dict[str, object]
    changed_ms: msgspec.Raw
    identities: dict[str, str]
    seen: msgspec.Raw
    seen_at: msgspec.Raw
    changed_paths: msgspec.Raw
    base_ms: int = 0


_decode = msgspec.msgpack.Decoder(RowOfMember).decode


@dataclass(frozen=True, slots=True)
class Deciding:
    """Who of some users was in at the list's instant, in one partition that is held."""

    rules: ProjectRules
    audience: CompiledAudience
    instant_ms: int
    undone: Undone
    wants_exit: bool
    """Whether somebody asks when members leave: that takes the whole row."""

    def members(self, keys: Sequence[bytes], rows: Sequence[bytes | None]) -> list[Member]:
        """Those who were in, in the order of the keys. Raises InstantPassed."""
        found = []
        for key, value in zip(keys, rows, strict=True):
            if value is not None and (member := self._member(key, value)) is not None:
                found.append(member)
        return found

    def _member(self, key: bytes, value: bytes) -> Member | None:
        if value[:1] != ROW_VERSION:
            return self._of_whole(key, decode_row(value))
        row = _decode(value[1:])
        is_due = row.timer_ms is not None and row.timer_ms <= self.instant_ms
        if self.wants_exit or is_due or row.now_ms > self.instant_ms:
            return self._of_whole(key, decode_row(value))
        membership = row.audiences.get(self.audience.key)
        if membership is None or not membership.inside:
            return None
        return _made(key, row.identities, row.attributes, row.base_ms + membership.since_ms)

    def _of_whole(self, key: bytes, row: Row) -> Member | None:
        if row.is_stub:
            return None
        if row.now_ms > self.instant_ms:
            if key not in self.undone.touched:
                raise InstantPassed("a row was changed after the instant before that was chosen")
            if (before := self.undone.before(key)) is not None:
                return _made(key, row.identities, row.attributes, before.since_ms) if before.inside else None
        elif row.timer_ms is not None and row.timer_ms <= self.instant_ms:
            _, user_id = split_row_key(key)
            fire(self.rules, user_id, row, self.instant_ms + 1, [])
        membership = row.audiences.get(self.audience.key)
        if membership is None or not membership.inside:
            return None
        member = _made(key, row.identities, row.attributes, row.since_ms(membership))
        if self.wants_exit and row.used != OLD and membership.version == self.audience.version:
            member.exit_at_ms = predict_exit(self.rules, self.audience, row, row.now_ms)
        return member


def _made(
    key: bytes, identities: Mapping[str, str], attributes: Mapping[str, object], since_ms: int
) -> Member:
    if GONE in identities.values():
        identities = {name: value for name, value in identities.items() if value != GONE}
    return Member(split_row_key(key)[1], identities, attributes, since_ms)
