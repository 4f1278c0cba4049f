"""Sections 2 and 9: one partition's clock, its users, and the transitions that come out.

Choice, for duplicates: an event whose name and id the same user brought recently, by the partition's clock
at both, moves the clock and does nothing else. It isn't remembered either: the window counts from the one
that was applied. Ids are forgotten in lots, of a 64th of the window or a second: when the window of the
latest instant that the lot may have is over. Profile updates are no events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.model.facts import Happened, Known
from tests.model.instants import instant_ms, instant_text
from tests.model.operators import is_number
from tests.model.timers import YEARS_AHEAD, audience_timers, references
from tests.model.truth import audience_truth

Json = Any
DAY_MS = 86_400_000


class Model:
    """One partition. ``expected`` has the bodies of the transitions, per user in order."""

    def __init__(
        self, definitions: list[dict[str, Json]], dedupe_ms: int = DAY_MS, created_ms: int = 0
    ) -> None:
        self.definitions = {each["id"]: each for each in definitions}
        self.order = in_dependency_order(self.definitions)
        self.dedupe_ms = dedupe_ms
        self.created_ms = created_ms
        """When the definitions were made, for batch audiences that are computed once."""
        self.stream_time_ms = 0
        self.arrivals = 0
        self.users: dict[str, Known] = {}
        self.erased: dict[str, dict[str, list[int]]] = {}
        """What is remembered of the stays of users who were erased: how many there were."""
        self.expected: dict[str, list[dict[str, Json]]] = {}

    # -- what happens ------------------------------------------------------------------------------------

    def record(self, body: Mapping[str, Json], timestamp_ms: int) -> None:
        """One good record."""
        self.stream_time_ms = now_ms = max(self.stream_time_ms, timestamp_ms)
        self.arrivals += 1
        user_id = body["user_id"]
        time_ms = instant_ms(body["time"]) if body.get("time") is not None else timestamp_ms
        assert time_ms is not None
        if body.get("type") == "delete":
            self._erase(user_id, body, now_ms, time_ms)
            return
        user = self.users.setdefault(user_id, Known(now_ms, now_ms, stays=self.erased.pop(user_id, {})))
        is_event, record_id = body.get("type", "track") == "track", body.get("id")
        if is_event and record_id is not None:
            applied_ms = user.applied_ids.get((body["event"], record_id))
            lot = max(1, self.dedupe_ms // 64_000) * 1000
            if applied_ms is not None and now_ms < (applied_ms // lot + 1) * lot + self.dedupe_ms:
                return
            user.applied_ids[body["event"], record_id] = now_ms
        self._fire(user_id, user, now_ms)
        trigger = {"event": body.get("event"), "id": record_id, "time": instant_text(time_ms)}
        if is_event:
            properties = body.get("properties") or {}
            user.events.append(
                Happened(self.arrivals, now_ms, min(time_ms, now_ms), body["event"], properties)
            )
        else:
            before = user.versions[-1][1] if user.versions else {}
            user.versions.append((now_ms, updated(before, body)))
        self._step(user_id, user, now_ms, "event" if is_event else "profile", trigger)

    def _erase(self, user_id: str, body: Mapping[str, Json], now_ms: int, time_ms: int) -> None:
        """The user leaves every audience, and is forgotten."""
        if user_id not in self.users:
            return
        user = self.users[user_id]
        self._fire(user_id, user, now_ms)
        left = [name for name, stays in user.stays.items() if len(stays) % 2]
        for name in left:
            user.stays[name].append(now_ms)
        trigger = {"event": None, "id": body.get("id"), "time": instant_text(time_ms)}
        self._write(user_id, user, now_ms, left, "delete", trigger)
        self.erased[user_id] = self.users.pop(user_id).stays

    def begin(self, user_id: str, user: Known, at_ms: int) -> None:
        """A user of whom something is known from before, at an instant that all records come after."""
        self.users[user_id] = user
        self.stream_time_ms = max(self.stream_time_ms, at_ms)
        self._settle(user, self.order, at_ms)

    def advance(self, to_ms: int) -> None:
        self.stream_time_ms = max(self.stream_time_ms, to_ms)
        for user_id, user in self.users.items():
            self._fire(user_id, user, self.stream_time_ms)

    def members(self, user_id: str, at_ms: int) -> dict[str, int]:
        """The audiences that the user is in at an instant from the clock on, if nothing more happens, and
        since when."""
        if user_id not in self.users:
            return {}
        user = self.users[user_id].if_nothing_happens()
        for _ in self._future(user, self.order, max(at_ms, self.stream_time_ms) + 1):
            pass
        return {name: stays[-1] for name, stays in user.stays.items() if len(stays) % 2}

    # -- how it is decided -------------------------------------------------------------------------------

    def _fire(self, user_id: str, user: Known, before_ms: int) -> None:
        for at_ms, changed in self._future(user, self.order, before_ms):
            self._write(user_id, user, at_ms, changed, "time", None)

    def _step(self, user_id: str, user: Known, at_ms: int, cause: str, trigger: Json) -> None:
        changed = self._settle(user, self.order, at_ms)
        self._write(user_id, user, at_ms, changed, cause, trigger)

    def _settle(self, user: Known, names: list[str], at_ms: int) -> list[str]:
        """Bring the user's audiences up to an instant; those that changed."""
        user.last_ms = at_ms
        changed = []
        for name in names:
            stays = user.stays.setdefault(name, [])
            if audience_truth(self.definitions[name], user, at_ms, self.created_ms) != (len(stays) % 2 == 1):
                stays.append(at_ms)
                changed.append(name)
        return changed

    def _future(self, user: Known, names: list[str], before_ms: int) -> Iterator[tuple[int, list[str]]]:
        """Let time pass for a user: each instant at which audiences change, with their names."""
        timers = self._timers(user, names, before_ms)
        while timers:
            at_ms = timers.pop(0)
            changed = self._settle(user, names, at_ms)
            if changed:
                yield at_ms, changed
                timers = self._timers(user, names, before_ms)

    def _timers(self, user: Known, names: list[str], before_ms: int) -> list[int]:
        found: set[int] = set()
        for name in names:
            found |= audience_timers(self.definitions[name], user, user.last_ms, self.created_ms)
        return sorted(each for each in found if each < before_ms)

    def _write(
        self, user_id: str, user: Known, at_ms: int, changed: list[str], cause: str, trigger: Json
    ) -> None:
        for name in sorted(changed):
            stays = user.stays[name]
            inside = len(stays) % 2 == 1
            exit_ms = self._exit(name, user) if inside else None
            self.expected.setdefault(user_id, []).append(
                {
                    "audience": name,
                    "user_id": user_id,
                    "seq": len(stays),
                    "event": "enter" if inside else "exit",
                    "at": instant_text(at_ms),
                    "cause": cause,
                    "trigger": trigger,
                    "entered_at": instant_text(at_ms if inside else stays[-2]),
                    "exit_at": None if exit_ms is None else instant_text(exit_ms),
                }
            )

    def _exit(self, name: str, user: Known) -> int | None:
        """When the user leaves by time alone; the pipeline gives up after 1000 timers, here some years do."""
        future = user.if_nothing_happens()
        names = [each for each in self.order if each in closure(name, self.definitions)]
        for at_ms, changed in self._future(future, names, user.last_ms + YEARS_AHEAD * 366 * DAY_MS):
            if name in changed:
                return at_ms
        return None


def updated(attributes: Mapping[str, Json], body: Mapping[str, Json]) -> dict[str, Json]:
    """The attributes after a profile update: set, set_once, add, unset."""
    after = {**attributes, **(body.get("set") or {})}
    for name, value in (body.get("set_once") or {}).items():
        after.setdefault(name, value)
    for name, amount in (body.get("add") or {}).items():
        current = after.get(name)
        after[name] = amount + (current if is_number(current) else 0)
    for name in body.get("unset") or ():
        after.pop(name, None)
    return after


def closure(name: str, definitions: Mapping[str, Json]) -> set[str]:
    """An audience and all that its rule speaks of, directly or not."""
    return {name}.union(*(closure(each, definitions) for each in references(definitions[name]["rule"])))


def in_dependency_order(definitions: Mapping[str, Json]) -> list[str]:
    return sorted(definitions, key=lambda name: (depth(name, definitions), name))


def depth(name: str, definitions: Mapping[str, Json]) -> int:
    """How long the longest chain of references is."""
    return 1 + max((depth(each, definitions) for each in references(definitions[name]["rule"])), default=0)
