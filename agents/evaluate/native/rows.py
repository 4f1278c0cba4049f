"""Rows in the core's memory, as Python code sees them: for what the core doesn't compute itself.

The core has the rows always, whichever engine computes. Rows that Python decoded stay here until the core
computes; what Python changes in them goes to the core with ``hand_over``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

import msgspec

from agents.evaluate.steps import Draft
from rules.state.row import Row
from rules.time.instants import FAR_MS
from tables.codec import decode_row, encode_row
from tables.erased import buried_in
from tables.member_index import MemberIndex
from tables.profiles import Profiles, Staged
from tables.row_store import RowStore, Timer, Write
from tables.timer_index import TimerIndex

if TYPE_CHECKING:
    from turnstile_core import Partition as Core

Result = TypeVar("Result")
_encode = msgspec.msgpack.Encoder().encode


class NativeProfiles(Profiles):
    """``Profiles`` over the rows of the core. ``cache_rows`` bounds those that Python has decoded."""

    def __init__(
        self, store: RowStore, core: Core, cache_rows: int, behind_rows: int, unreadable: type[Exception]
    ) -> None:
        super().__init__(store, cache_rows, behind_rows)
        self._unreadable = unreadable
        self.core = core
        self.timers = NativeTimers(store, core)
        self.members = NativeMembers(store, core)
        self._new: set[bytes] = set()
        """Of rows that Python added and the core doesn't have yet."""

    # -- rows ----------------------------------------------------------------------------------------

    def bring(self, keys: list[bytes]) -> None:
        """Have the core know what the store has of these rows. Raises StoreBroken."""
        missing = self.core.missing(keys) if keys else keys
        if missing:
            values = self.store.get_many(missing)
            if self.erased:
                values = list(map(self._or_stub, missing, values))
            self.checked(self.core.supply, missing, self.as_written_today(missing, values))

    def checked(self, job: Callable[..., Result], *given: object) -> Result:
        """What a job of the core gives. Raises StoreBroken for a row that can't be read."""
        try:
            return job(*given)
        except self._unreadable as error:
            key, why = error.args
            raise self.store.broken(f"the row of {key!r} can't be read: {why}") from error

    def _or_stub(self, key: bytes, value: bytes | None) -> bytes | None:
        erased = self.erased.of(key) if value is None else None
        return value if erased is None else encode_row(erased.row)

    def _fetch(self, missing: list[bytes], into: dict[bytes, Row]) -> None:
        self.bring(missing)
        for key, value in zip(missing, self.core.rows(missing), strict=True):
            if value is not None and key not in into:
                into[key] = self._decoded(key, value)

    def add(self, key: bytes, row: Row) -> None:
        super().add(key, row)
        self._new.add(key)

    def put_back(self, key: bytes, value: bytes | None) -> None:
        super().put_back(key, value)
        if value is None:
            self._new.discard(key)

    def forget(self, keys: Iterable[bytes]) -> None:
        keys = list(keys)
        super().forget(keys)
        self._new.difference_update(keys)

    def let_go(self) -> None:
        """The core computes now: what Python has decoded is over."""
        self._young.clear()
        self._old.clear()
        self._new.clear()
        self.large.clear()

    # -- steps ---------------------------------------------------------------------------------------

    def hand_over(self, draft: Draft, most_bytes: int) -> None:
        """What Python computed in the draft becomes part of the core's step. Raises RowsTooLarge, and nothing
        is handed over."""
        if not (draft.changed or draft.local or draft.transitions):
            return
        turned = draft.turned
        logged = self._encoded(draft.changed, most_bytes)
        rows = [(key, row, draft.changed[key], True, key in turned) for key, row in logged]
        rows += [(key, row, draft.local[key], False, False) for key, row in self._encoded(draft.local)]
        self.bring([key for key, *_ in rows if key not in self._new])  # the core may have let go of some
        of = zip(draft.keys, draft.transitions, strict=True)
        claims = [(key, _encode(claim)) for key, claim in draft.claims]
        self.core.stage(rows, [(key, _encode(transition)) for key, transition in of], claims)
        self._new.clear()

    def durable(self, *staged: Staged) -> None:
        self._durable.extend(staged)
        self.core.durable(staged[-1].number)
        if self.durable_rows > self.behind_rows or any(buried_in(each.write.notes) for each in staged):
            self.flush()

    def flush(self, meta: bytes | None = None) -> None:
        notes: dict[bytes, bytes | None] = {}
        deleted: set[bytes] = set()
        known: bytes | None = None
        for each in self._durable:
            notes.update(each.write.notes)
            deleted.update(each.write.deleted)
            known = each.write.meta or known
        meta = meta or known
        if self._durable or meta is not None:
            rows, timers_added, timers_dropped, members_added, members_dropped = self.core.flush()
            self.store.write(
                Write(
                    rows=rows,
                    deleted=sorted(deleted.difference(key for key, _ in rows)) if deleted else (),
                    timers_added=timers_added,
                    timers_dropped=timers_dropped,
                    meta=meta,
                    notes=list(notes.items()),
                    members_added=members_added,
                    members_dropped=members_dropped,
                )
            )
            self.core.stored()
        self._durable.clear()

    # -- reading -------------------------------------------------------------------------------------

    def read_many(self, keys: Iterable[bytes]) -> dict[bytes, Row]:
        """As in ``Profiles``; what the store has doesn't go to the core's memory, which is for steps."""
        keys = list(dict.fromkeys(keys))
        cached = [self._young.get(key) or self._old.get(key) for key in keys]
        found = {key: decode_row(encode_row(row)) for key, row in zip(keys, cached, strict=True) if row}
        wanted = [key for key in keys if key not in found]
        values = dict(zip(wanted, self.core.rows(wanted), strict=True))
        missing = [key for key, value in values.items() if value is None]
        if missing:
            stored = map(self._or_stub, missing, self.store.get_many(missing))
            values.update(zip(missing, stored, strict=True))
        found |= {key: self._decoded(key, value) for key, value in values.items() if value is not None}
        return found

    def unstored_keys(self) -> list[bytes]:
        return self.core.unstored_keys()

    def unstored_row(self, key: bytes) -> bytes:
        row = self.core.row(key)
        if row is None:
            raise KeyError(key)
        return row

    @property
    def durable_rows(self) -> int:
        return self.core.durable_rows

    @property
    def cached_rows(self) -> int:
        return self.core.cached_rows

    @property
    def unstored_rows(self) -> int:
        return self.core.unstored_rows


class NativeTimers(TimerIndex):
    """The timer index; what isn't stored yet is in the core."""

    def __init__(self, store: RowStore, core: Core) -> None:
        super().__init__(store)
        self._core = core

    def due(self, before_ms: int, limit: int) -> list[Timer]:
        floor_ms, hidden = self._core.due_search()
        found = self._core.due(before_ms, limit, self._store.timers(floor_ms, before_ms, limit + hidden))
        if not found:
            later = self._store.timers(max(before_ms, floor_ms), FAR_MS, 1)
            self._core.quiet(later[0][0] if later else None)
        return found

    def may_be_due(self, before_ms: int) -> bool:
        return self._core.may_be_due(before_ms)

    def fired_until(self, before_ms: int) -> None:
        self._core.fired_until(before_ms)

    @property
    def in_memory(self) -> int:
        return self._core.timers_in_memory


class NativeMembers(MemberIndex):
    """The index of members; what isn't stored yet is in the core."""

    def __init__(self, store: RowStore, core: Core) -> None:
        super().__init__(store)
        self._core = core

    @property
    def sizes(self) -> Mapping[int, int]:
        return self._core.sizes()

    def read(self, keys: Iterable[bytes], rows: Mapping[bytes, Row]) -> None:
        """The core knows."""

    def add(self, key: bytes, row: Row) -> None:
        """Likewise."""

    def page(self, audience: int, after: bytes, limit: int) -> list[bytes]:
        hidden = self._core.page_search(audience, after)
        stored = self._store.members(audience, after, limit + hidden)
        return self._core.page(audience, after, limit, stored)
