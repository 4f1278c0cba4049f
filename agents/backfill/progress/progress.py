"""How far each version of an audience is in each partition: records of ``<prefix>.progress``, and all of them
together.

Key: ``project/audience/version/partition``. Value: ``Progress`` as JSON. The topic is compacted and has one
partition. Records may come again, and late, from a worker that no longer owns the partition: readers never
let a state go back (``follows``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer
from msgspec.structs import replace

from agents.registry.feed import Feed
from agents.registry.registry import Registry
from agents.registry.unusable import Unusable, UnusableRecord
from agents.warnings import Warnings

State = Literal["pending", "replaying", "held", "cut", "ready", "failed"]
"""Not begun; the history is being read; waits for somebody's release; it decides from here on; every row was
looked at; can't go on (``reason``), until somebody mends that."""
UNUSABLE: Final = "progress_unreadable"
"""The code of the warning about a record that can't be used."""
_RANKS: Final[Mapping[State, int]] = {"pending": 0, "replaying": 1, "held": 2, "cut": 3, "ready": 4}


class ProgressKey(NamedTuple):
    """Which version of which audience, and where."""

    project: str
    audience: str
    version: int
    partition: int
    """Of the table."""


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version in one partition of the table."""

    state: State
    done: int = 0
    """Records of the history that were read, or passed by as of no concern."""
    total: int = 0
    """Records of the history, as far as is known now; 0: not known yet."""
    history_from_ms: int | None = None
    """Where less was read than the rule looks back: from which instant on. None: its history is complete."""
    enters: int | None = None
    """How many users the version takes in at the cut. None: not counted yet; in a state before ``cut`` a
    number says that the computation has come up with the live stream."""
    exits: int | None = None
    """How many users it lets go at the cut; counted together with ``enters``."""
    members: int = 0
    """How many members the version before it has, counted together with ``enters``."""
    reason: str = ""
    """Why it is held, why it failed, or what it waits for; for people."""
    at_ms: int = 0
    """When it was so, by the wall clock."""
    since_ms: int = 0
    """Since when it is in this state, by the wall clock; 0: a program that didn't say so has written it."""
    computed_ms: int | None = None
    """Of a batch audience that is ready: the latest compute instant that is behind the partition, all that
    came of it written."""


@dataclass(frozen=True, slots=True)
class VersionState:
    """One version of an audience over all partitions."""

    state: State
    progress: float
    """From 0 to 1; 1 once every partition is cut."""
    cut: int
    """How many partitions are cut or ready."""
    partitions: int
    history_from_ms: int | None
    """The latest of the partitions'. None: complete, as far as is known."""
    enters: int
    exits: int
    members: int
    """Sums of what is counted so far."""
    is_counted: bool
    """Every partition has counted what the cut will change."""
    waits_for_counts: bool = True
    """A partition may still count. One that is cut without it had no version before, and nobody to lose."""
    reason: str = ""

    @property
    def is_ready(self) -> bool:
        return self.state == "ready"


def follows(before: Progress | None, after: Progress) -> bool:
    """Whether a reader that knows ``before`` believes ``after``.

    A state never goes back, and within a state the later record has the newer figures. ``failed`` ends a
    computation, not a cut; a new attempt may begin anywhere.
    """
    if before is None or (before.state == "failed" and after.state != "failed"):
        return True
    if after.state == "failed":
        return before.state not in ("cut", "ready")
    return _RANKS[after.state] >= _RANKS[before.state]


def merged(before: Progress | None, after: Progress) -> Progress:
    """What is known once ``after`` is believed: figures that it doesn't give stay as they were.

    A new attempt after a failure begins with none.
    """
    if before is None or before.state == "failed":
        return after
    if after.state == before.state:
        after = replace(after, since_ms=before.since_ms or before.at_ms)
    if before.computed_ms is not None and (after.computed_ms or before.computed_ms) <= before.computed_ms:
        after = replace(after, computed_ms=before.computed_ms)
    if after.enters is None and before.enters is not None:
        after = replace(after, enters=before.enters, exits=before.exits, members=before.members)
    if not after.total and before.total:
        after = replace(after, done=before.done, total=before.total)
    return after


def state_of(records: Mapping[int, Progress], partitions: int) -> VersionState:
    """Put together what the partitions of the table say of one version; ``records`` by partition.

    A partition that says nothing yet is pending.
    """
    known = [records[each] for each in range(partitions) if each in records]
    cut = [each for each in known if each.state in ("cut", "ready")]
    begun = [each.history_from_ms for each in known if each.history_from_ms is not None]
    counted = [each for each in known if each.enters is not None]
    state = _together(known, partitions)
    return VersionState(
        state=state,
        progress=sum(map(_share, known)) / partitions if partitions else 0.0,
        cut=len(cut),
        partitions=partitions,
        history_from_ms=max(begun, default=None),
        enters=sum(each.enters or 0 for each in counted),
        exits=sum(each.exits or 0 for each in counted),
        members=sum(each.members for each in counted),
        is_counted=len(counted) == partitions > 0,
        waits_for_counts=partitions > sum(each in cut or each.enters is not None for each in known),
        reason=next((each.reason for each in known if each.state == state and each.reason), ""),
    )


def is_held(version: VersionState, max_change_percent: float, released: bool) -> bool:
    """Whether an edit must wait for a release (rules, section 8a.8): it would change the membership of more
    than ``max_change_percent`` of the audience's members. Ask when ``is_counted``; before, it waits anyway.
    """
    changes = version.enters + version.exits
    return not released and changes * 100 > max_change_percent * version.members


def _together(known: list[Progress], partitions: int) -> State:
    states = [each.state for each in known]
    if "failed" in states:
        return "failed"
    if "held" in states:
        return "held"
    if len(states) == partitions > 0:
        if all(each == "ready" for each in states):
            return "ready"
        if all(each in ("cut", "ready") for each in states):
            return "cut"
    return "replaying" if any(each != "pending" for each in states) else "pending"


def _share(progress: Progress) -> float:
    if progress.state in ("cut", "ready"):
        return 1.0
    return min(1.0, progress.done / progress.total) if progress.total > 0 else 0.0


# -- the topic ---------------------------------------------------------------------------------------

_decode = msgspec.json.Decoder(Progress).decode
encode_progress = msgspec.json.Encoder().encode


def encode_key(key: ProgressKey) -> bytes:
    return f"{key.project}/{key.audience}/{key.version}/{key.partition}".encode()


def decode_key(key: bytes) -> ProgressKey:
    """Raises Unusable."""
    parts = key.decode().split("/")
    if len(parts) != 4 or not all(each.isascii() and each.isdigit() for each in parts[2:]):
        raise Unusable(ProgressOfVersions.key_is)
    return ProgressKey(parts[0], parts[1], int(parts[2]), int(parts[3]))


class ProgressOfVersions(Registry[ProgressKey, Progress]):
    """What is believed of the topic, by key; by version in ``of`` and ``state``."""

    key_is: ClassVar[str] = "progress needs the key project/audience/version/partition"

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self._by_version: dict[tuple[str, str, int], dict[int, Progress]] = {}
        self._states: dict[tuple[str, str, int, int], VersionState] = {}
        """Those that were asked for since the last record."""

    def id_of(self, key: bytes) -> ProgressKey:
        return decode_key(key)

    def decode(self, key: bytes, value: bytes) -> Progress:
        after = _decode(value)
        before = self.published.get(decode_key(key))
        return merged(before, after) if before is None or follows(before, after) else before

    def of(self, project: str, audience: str, version: int) -> Mapping[int, Progress]:
        """What the partitions say of a version, by partition."""
        return self._by_version.get((project, audience, version), {})

    def state(self, project: str, audience: str, version: int, partitions: int) -> VersionState:
        """A version over all ``partitions`` of the table."""
        known_as = project, audience, version, partitions
        found = self._states.get(known_as)
        if found is None:
            found = self._states[known_as] = state_of(self.of(project, audience, version), partitions)
        return found

    def versions_of(self, project: str, audience: str) -> list[int]:
        """The versions of an audience that something is known of, the oldest first."""
        return sorted(each[2] for each in self._by_version if each[:2] == (project, audience))

    def __iter__(self) -> Iterator[tuple[str, str, int]]:
        """Every version that something is known of."""
        return iter(self._by_version)

    def deciding(self, partitions: int) -> Iterator[tuple[str, str, int]]:
        """Project, audience and version of each that has taken over in all ``partitions`` of the table, and
        that no later one has replaced in any."""
        latest: dict[tuple[str, str], int] = {}
        for project, audience, version in self._by_version:
            if self.state(project, audience, version, partitions).cut:
                latest[project, audience] = max(version, latest.get((project, audience), version))
        for (project, audience), version in latest.items():
            if self.state(project, audience, version, partitions).cut == partitions:
                yield project, audience, version

    def _put_in_force(self, key: bytes, value: bytes | None) -> None:
        super()._put_in_force(key, value)
        self._states.clear()
        known_as = decode_key(key)
        version = known_as[:3]
        if known_as in self.published:
            self._by_version.setdefault(version, {})[known_as.partition] = self.published[known_as]
        elif version in self._by_version:
            self._by_version[version].pop(known_as.partition, None)
            if not self._by_version[version]:
                del self._by_version[version]


def progress_feed(
    new_consumer: Callable[[], AIOKafkaConsumer],
    topic: str,
    warnings: Warnings,
    changed: Callable[[], None] = lambda: None,
) -> Feed[ProgressOfVersions]:
    """Follows the topic. A record that it can't use is a warning, and the one before it holds."""
    return Feed(new_consumer, ProgressOfVersions(topic), UNUSABLE, warnings, changed, _tell)


def _tell(told: UnusableRecord) -> str:
    return f"offset {told.offset} can't be used, and what was known before it holds: {told.reason}"
