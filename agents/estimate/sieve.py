"""What of a log can concern some rules: the rest isn't decoded.

A record's user and event are read without the rest of its value (a fifth of the time of decoding it). A
record that no condition watches changes nothing of a user who is known already, but for the stream time,
which goes along with the records that are kept (``agents.estimate.kept``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from agents.evaluate.parts import Beside
from agents.evaluate.steps import Limits, Record
from agents.formats.native import Native, read_plain
from agents.formats.records import time_of
from agents.formats.refused import RecordRefused
from rules.compile.rule_set import RuleSet
from rules.time.instants import MAX_MS

NATIVE = Native()


class Glance(msgspec.Struct, gc=False):
    """What of a native record is looked at before it is decoded."""

    user_id: str | int
    event: str | None = None
    type: str = "track"
    project: str = "default"


_decode = msgspec.json.Decoder(Glance).decode


def glance_at(record: Record) -> Glance | None:
    """The user and event of a native record. None: it is a list, or a bad one; its format tells more."""
    if record.value is None:
        return None
    try:
        return _decode(record.value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class Watched:
    """What the rules of one project look at."""

    every_event: bool
    events: frozenset[str]
    attributes: bool
    first: bool
    """A user may be in an audience by the first record alone, whatever it says. Otherwise a user without
    records that concern the rules is in no audience, and nothing is kept of the user."""

    def may_concern(self, glance: Glance) -> bool:
        """Whether a record of the project may change more than the stream time."""
        if glance.type == "track":
            return self.every_event or glance.event in self.events
        return self.attributes or glance.type != "profile"


class Sieve:
    """Which records may change what any of the rule sets says of a user."""

    def __init__(self, rule_sets: Iterable[RuleSet], limits: Limits) -> None:
        self.limits = limits
        found: dict[str, list[Watched]] = {}
        for rules in rule_sets:
            for name, project in rules.projects.items():
                watched = Watched(
                    bool(project.any_event.conditions),
                    frozenset(project.by_event),
                    bool(project.by_attribute),
                    bool(project.initial),
                )
                found.setdefault(name, []).append(watched)
        self.projects: Mapping[str, Watched] = {name: _together(watched) for name, watched in found.items()}
        """By project; others aren't asked about."""

    def is_readable(self, record: Record) -> bool:
        """Whether a record is no dead letter, so that its user is known from then on."""
        plain = read_plain(record.value, record.timestamp, self.limits.max_bytes)
        if plain is None:
            is_large = len(record.value or b"") > self.limits.max_bytes or record.timestamp > MAX_MS
            return not is_large and any(True for _ in self.users_of(record))
        try:
            time_of(plain.time, record.timestamp)
        except RecordRefused:
            return False
        return True

    def users_of(self, record: Record) -> Iterator[str]:
        """The users of any record, decoded; none of one that can't be read."""
        format = self.limits.formats.get(record.topic) or NATIVE
        try:
            items = format.read(record.value, Beside(record.key, record.headers))
        except RecordRefused:
            return
        for item in items:
            if not isinstance(item.records, RecordRefused):
                yield from (each.user_id for each in item.records)


def _together(watched: list[Watched]) -> Watched:
    return Watched(
        any(each.every_event for each in watched),
        frozenset[str]().union(*(each.events for each in watched)),
        any(each.attributes for each in watched),
        any(each.first for each in watched),
    )
