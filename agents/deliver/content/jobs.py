"""From records of the transitions topic to jobs: read, filtered, and for ``lytics`` grouped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord

from agents.deliver.definitions.destination import Destination, KafkaTopic, Variable, Webhook
from agents.deliver.definitions.templates import names_in, names_used
from agents.deliver.engine.sink import Delivery
from agents.evaluate.transitions import PROPERTIES_HEADER, TransitionBody
from rules.predicates.compiled import compile_predicate

_decode = msgspec.json.Decoder(TransitionBody).decode
_decode_properties = msgspec.json.Decoder(dict[str, Any]).decode


class Original(msgspec.Struct, frozen=True, gc=False):
    """A record as it lies on the transitions topic (or would, for a member from the backfill)."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    partition: int
    offset: int
    timestamp: int


class Job(msgspec.Struct, eq=False):
    """One message on its way to a destination."""

    user_id: str
    transitions: tuple[TransitionBody, ...]
    originals: tuple[Original, ...]
    partition: int
    offset: int
    """Of the first original: nothing from here on is committed before the job is done; -1: none."""
    done: bool = False
    attempts: int = 0
    first_s: float = 0.0
    """Monotonic time of the first attempt."""
    delivery: Delivery | None = None


class Unreadable(Exception):
    """A record on the transitions topic isn't a transition."""


class Selector:
    """Which transitions a destination wants."""

    def __init__(self, destination: Destination) -> None:
        self._project = destination.project
        self._audiences = destination.audiences
        self._events = destination.transitions
        self._where: Callable[[Mapping[str, object]], bool] | None = (
            None if destination.where is None else compile_predicate(destination.where)
        )

    def wants(self, transition: TransitionBody) -> bool:
        return (
            transition.event in self._events
            and (self._audiences is None or transition.audience in self._audiences)
            and transition.project == self._project
            and (self._where is None or self._where(msgspec.to_builtins(transition)))
        )


def read_transition(value: bytes | None) -> TransitionBody:
    """Raises Unreadable."""
    try:
        return _decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(str(error)) from None
    except RecursionError:
        raise Unreadable("nested too deep") from None


def original_of(record: ConsumerRecord[bytes, bytes]) -> Original:
    return Original(
        record.key,
        record.value,
        record.headers,
        record.partition,
        record.offset,
        record.timestamp,
    )


def properties_of(original: Original) -> Mapping[str, object]:
    """Properties of the event behind a transition, where the worker wrote them."""
    for name, value in original.headers:
        if name == PROPERTIES_HEADER:
            try:
                return _decode_properties(value)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return {}
    return {}


def is_merged(destination: Destination) -> bool:
    """Whether transitions of one user and instant go as one message: ``lytics``, where nothing else of the
    message is about a single one of them.
    """
    if destination.body != "lytics":
        return False
    target = destination.target
    if isinstance(target, KafkaTopic):
        named = {path.partition(".")[0] for path in target.fields.values()} | set(names_in(target.topic))
        return not target.membership and named <= _SHARED
    if isinstance(target, Webhook):
        return all(is_shared(name, target.variables) for name in names_used(target))
    return True


_SHARED = frozenset({"project", "user_id", "at"})
"""Fields that transitions of one user and instant have in common."""


def is_shared(name: str, variables: Mapping[str, Variable]) -> bool:
    """Whether a variable is the same for all transitions of one user and instant."""
    variable = variables.get(name)
    if variable is None:
        return name in _SHARED
    if variable.source == "field":
        return variable.path[0] in _SHARED
    return variable.source == "attribute"


class Grouping:
    """Transitions of one user and instant as one job, also where a poll's end lies between them.

    A worker writes what one step makes of a user in one go, so they lie close together: a group ends with
    the user's next instant or with the poll, but for the last group of a poll, which is held back until the
    next poll or a moment passes.
    """

    def __init__(self) -> None:
        self._open: dict[str, Job] = {}
        self.held: Job | None = None

    def add(self, job: Job) -> Job | None:
        """The job to track; None: it went into an earlier one. Jobs of one poll, in order."""
        before = self._open.get(job.user_id)
        if before is not None and before.transitions[0].at == job.transitions[0].at:
            before.transitions += job.transitions
            before.originals += job.originals
            self._last = before
            return None
        self._open[job.user_id] = job
        self._last = job
        return job

    def end_poll(self, fresh: Sequence[Job]) -> list[Job]:
        """The jobs that are complete; the last group is held."""
        if not self._open:
            return list(fresh)
        ready = [] if self.held is None or self.held is self._last else [self.held]
        ready += [job for job in fresh if job is not self._last]
        self.held = self._last
        self._open = {self.held.user_id: self.held}
        return ready

    def release(self) -> Job | None:
        """The held group: nothing more will come for it."""
        held, self.held = self.held, None
        self._open = {}
        return held
