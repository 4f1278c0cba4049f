"""Runs on the ledger: the compacted topic ``<prefix>.push-runs``.

Key ``run/<project>/<push>/<run id>``: what became of a run; whoever leads writes it, nobody else. Key
``request/<id>``: what somebody asks the leader for; it writes what came of it to the run, and takes the
request away. Key ``totals/<project>/<push>``: what became of the runs that are no longer here. A run's id is
a hash of the push, its generation and the due instant, so that a time comes to one run, whoever leads; that
of a run that was asked for is a hash of the request's id instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import ClassVar, Final, Literal, TypeAlias

import msgspec

from agents.pushes.contract.parse import load_published
from agents.pushes.contract.push import Push
from agents.registry.leading import NotedRecord
from agents.registry.registry import Registry
from agents.registry.unusable import Unusable

State: TypeAlias = Literal[
    "queued", "snapshot", "spooled", "delivering", "delivered", "confirmed", "failed", "cancelled", "skipped"
]
DONE: Final = frozenset({"delivered", "confirmed", "failed", "cancelled", "skipped"})
GOOD: Final = frozenset({"delivered", "confirmed"})
Trigger: TypeAlias = Literal["schedule", "manual", "repush"]
Action: TypeAlias = Literal["run", "repush", "cancel", "confirm"]
RUN: Final = "run/"
REQUEST: Final = "request/"
TOTALS: Final = "totals/"


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value of a run's record. Instants are ms of the wall clock, but for ``instant_ms``: log time."""

    id: str
    project: str
    push: str
    generation: int
    version: int
    """Of the definition."""
    definition: msgspec.Raw
    """As it was when the run was made; JSON."""
    trigger: Trigger
    due_ms: int
    state: State
    created_ms: int
    changed_ms: int
    queue: str = "other"
    reason: str = ""
    """Why it waits, failed or was skipped."""
    code: str = ""
    """Why it failed, for programs: ``too_many_ids``, ``refused``, …"""
    started_ms: int | None = None
    ended_ms: int | None = None
    of: str = ""
    """The run that is pushed again."""
    times: int = 1
    """Of the schedule, with those that were missed."""
    lists: int = 0
    """How many lists were begun; above 1: earlier ones were given up, as ``told`` says."""
    list_id: str = ""
    instant_ms: int | None = None
    audience_version: int = 0
    members: int = 0
    rows: int = 0
    """Pushed ids: the sum over the id types."""
    bytes: int = 0
    by_id: dict[str, int] = {}
    without: dict[str, int] = {}
    refused: dict[str, int] = {}
    attempts: int = 0
    """How often the target was asked to take the list."""
    delivered_rows: int = 0
    """In the attempt that is under way."""
    places: tuple[str, ...] = ()
    checksum: str = ""
    told: tuple[str, ...] = ()
    """What happened on the way."""

    @property
    def is_done(self) -> bool:
        return self.state in DONE

    @property
    def push_key(self) -> str:
        """``project/push``."""
        return f"{self.project}/{self.push}"

    @property
    def key(self) -> str:
        """Of its record."""
        return f"{RUN}{self.push_key}/{self.id}"

    def parsed(self) -> Push:
        """The definition. Raises DefinitionsInvalid."""
        return load_published(str(self.definition, "utf-8"), "push.json")


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value of a request's record."""

    id: str
    action: Action
    project: str
    push: str
    at_ms: int
    run: str = ""
    """Id of the run that is meant; empty for ``run``."""
    by: str = ""
    version: int = 0
    """Of the definition that a ``run`` means, or a later one."""
    list: str = ""
    """Id of the list that is confirmed; empty: whichever the run has."""

    @property
    def key(self) -> str:
        """Of its record."""
        return REQUEST + self.id


class Totals(msgspec.Struct, frozen=True):
    """Of the runs of a push that are over: how many by ``state/code``, and what those pushed that were
    delivered. ``confirmed`` ones count as delivered, too."""

    project: str
    push: str
    runs: dict[str, int] = {}
    confirmed: int = 0
    rows: int = 0
    bytes: int = 0

    @property
    def push_key(self) -> str:
        """``project/push``."""
        return f"{self.project}/{self.push}"

    @property
    def key(self) -> str:
        """Of its record."""
        return TOTALS + self.push_key

    def with_runs(self, runs: Iterable[Run]) -> Totals:
        """These and more runs; those that aren't over don't count."""
        done = [each for each in runs if each.is_done]
        good = [each for each in done if each.state in GOOD]
        counts = Counter(self.runs)
        counts.update(f"{'delivered' if each.state in GOOD else each.state}/{each.code}" for each in done)
        return Totals(
            self.project,
            self.push,
            dict(counts),
            self.confirmed + sum(each.state == "confirmed" for each in good),
            self.rows + sum(each.rows for each in good),
            self.bytes + sum(each.bytes for each in good),
        )


_encode = msgspec.json.Encoder().encode
_decode_run = msgspec.json.Decoder(Run).decode
_decode_request = msgspec.json.Decoder(Request).decode
_decode_totals = msgspec.json.Decoder(Totals).decode


def record_of(noted: Run | Request | Totals) -> NotedRecord:
    """Key and value."""
    return noted.key.encode(), _encode(noted)


def gone(noted: Run | Request) -> NotedRecord:
    """The record that takes it away."""
    return noted.key.encode(), None


def run_id(project: str, push: str, generation: int, due: int | str) -> str:
    """Of the due instant (ms), or of the id of the request."""
    name = f"{project}/{push}/{generation}/{due}"
    return blake2b(name.encode(), digest_size=10, person=b"turnstile.push").hexdigest()


def list_id(run: str, number: int) -> str:
    """Of the ``number``th list of a run."""
    return f"{run}-{number}"


class RunIndex:
    """Runs by id and by push, those that aren't over, and the last time of each schedule: there may be a
    thousand of each push, so that nobody looks at all of them."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self.runs: dict[str, Run] = {}
        self._of_push: dict[str, dict[str, Run]] = {}
        self._unfinished: dict[str, Run] = {}
        self._last_due_ms: dict[tuple[str, int], int] = {}
        for each in runs:
            self.put(each)

    def put(self, run: Run) -> None:
        """A run as it is now."""
        key = run.push_key
        self.runs[run.id] = run
        self._of_push.setdefault(key, {})[run.id] = run
        if run.is_done:
            self._unfinished.pop(run.id, None)
        else:
            self._unfinished[run.id] = run
        if run.trigger == "schedule":
            last_ms = self._last_due_ms.get((key, run.generation), run.due_ms)
            self._last_due_ms[key, run.generation] = max(last_ms, run.due_ms)

    def remove(self, id: str) -> None:
        """It is no longer there. The last time of its schedule stays known."""
        run = self.runs.pop(id, None)
        if run is not None:
            self._of_push[run.push_key].pop(id, None)
            self._unfinished.pop(id, None)

    def of_push(self, key: str) -> list[Run]:
        """The runs of a push (``project/name``), the earliest first."""
        return sorted(self._of_push.get(key, {}).values(), key=order_of)

    @property
    def unfinished(self) -> list[Run]:
        """The earliest first."""
        return sorted(self._unfinished.values(), key=order_of)

    def last_due_ms(self, key: str, generation: int) -> int | None:
        """The last time of the schedule that has a run, of one generation of a push."""
        return self._last_due_ms.get((key, generation))


def order_of(run: Run) -> tuple[int, int, str]:
    """By which runs are in order: when they were made, then when they were due."""
    return run.created_ms, run.due_ms, run.id


class Ledger(Registry[str, Run | Request | Totals]):
    """Everything that is noted, by the record's key."""

    key_is: ClassVar[str] = "a record needs the key run/project/push/id, request/id or totals/project/push"

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.index = RunIndex()
        self._requests: dict[str, Request] = {}

    def id_of(self, key: bytes) -> str:
        name = key.decode()
        is_run = name.startswith(RUN) and name.count("/") == 3
        is_totals = name.startswith(TOTALS) and name.count("/") == 2
        if not (is_run or is_totals or name.startswith(REQUEST)):
            raise Unusable(self.key_is)
        return name

    def decode(self, key: bytes, value: bytes) -> Run | Request | Totals:
        if key.startswith(TOTALS.encode()):
            return _decode_totals(value)
        return _decode_run(value) if key.startswith(RUN.encode()) else _decode_request(value)

    def _put_in_force(self, key: bytes, value: bytes | None) -> None:
        super()._put_in_force(key, value)
        name = key.decode()
        noted = self.published.get(name)
        if isinstance(noted, Run):
            self.index.put(noted)
        elif name.startswith(RUN):
            self.index.remove(name.rpartition("/")[2])
        elif isinstance(noted, Request):
            self._requests[name] = noted
        else:
            self._requests.pop(name, None)

    @property
    def runs(self) -> list[Run]:
        """All of them, the earliest first."""
        return sorted(self.index.runs.values(), key=order_of)

    @property
    def requests(self) -> list[Request]:
        """In the order in which they came."""
        return sorted(self._requests.values(), key=lambda each: (each.at_ms, each.id))

    @property
    def all_totals(self) -> list[Totals]:
        return [each for each in self.published.values() if isinstance(each, Totals)]

    def totals(self, project: str, push: str) -> Totals:
        """Of the runs that are no longer here."""
        found = self.published.get(Totals(project, push).key)
        return found if isinstance(found, Totals) else Totals(project, push)

    def find(self, run: str) -> Run | None:
        """By the run's id."""
        return self.index.runs.get(run)
