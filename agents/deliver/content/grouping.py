"""``lytics``: the transitions of one user and instant as one message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents.deliver.content.messages import Message
from agents.deliver.definitions.destination import Destination, KafkaTopic, Variable, Webhook
from agents.deliver.definitions.templates import names_in, names_used


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
        self._open: dict[str, Message] = {}
        self.held: Message | None = None

    def add(self, job: Message) -> Message | None:
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

    def end_poll(self, fresh: Sequence[Message]) -> list[Message]:
        """The jobs that are complete; the last group is held."""
        if not self._open:
            return list(fresh)
        ready = [] if self.held is None or self.held is self._last else [self.held]
        ready += [job for job in fresh if job is not self._last]
        self.held = self._last
        self._open = {self.held.user_id: self.held}
        return ready

    def release(self) -> Message | None:
        """The held group: nothing more will come for it."""
        held, self.held = self.held, None
        self._open = {}
        return held
