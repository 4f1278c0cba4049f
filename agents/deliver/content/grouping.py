"""``lytics``: the transitions of one user and instant as one message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from agents.deliver.content.messages import Message
from agents.deliver.definitions.destination import Destination, Filled, KafkaTopic, Secret, Variable, Webhook
from agents.deliver.definitions.templates import names_in, names_used


def is_merged(destination: Destination) -> bool:
    """Whether transitions of one user and instant go as one message: ``lytics``, where nothing else of the
    message is about a single one of them.
    """
    return destination.body == "lytics" and _names_only(destination, OF_AN_INSTANT)


def is_merged_by_user(destination: Destination) -> bool:
    """Whether the existing members of one user go as one message, from whenever each is: ``is_merged``, and
    nothing else of the message is about an instant.
    """
    target = destination.target
    is_hidden = isinstance(target, Webhook) and isinstance(target.url, Secret)
    return destination.body == "lytics" and not is_hidden and _names_only(destination, OF_A_USER)


OF_A_USER = frozenset({"project", "user_id", "id_type", "reach_by", "reach_id"})
"""Fields that all transitions of one user have in common."""
OF_AN_INSTANT = OF_A_USER | {"at"}
"""Fields that transitions of one user and instant have in common."""


def _names_only(destination: Destination, shared: Set[str]) -> bool:
    target = destination.target
    if isinstance(target, KafkaTopic):
        named = {path.partition(".")[0] for path in target.fields.values()} | set(names_in(target.topic))
        return not target.membership and named <= shared
    if isinstance(target, Webhook):
        return all(is_shared(name, target.variables, shared) for name in names_used(target))
    return True


def is_shared(
    name: str, variables: Mapping[str, Variable | Filled], shared: Set[str] = OF_AN_INSTANT
) -> bool:
    """Whether a variable is the same for all transitions that have the ``shared`` fields in common."""
    variable = variables.get(name)
    if variable is None:
        return name in shared
    if isinstance(variable, Filled):
        is_text = isinstance(variable.value, str) and not variable.is_data
        named = names_in(str(variable.value)) if is_text else []
        return all(is_shared(each, variable.variables, shared) for each in named)
    if variable.source == "field":
        return variable.path[0] in shared
    return variable.source == "attribute"


class Grouping:
    """Transitions of one user and instant as one message, also where a poll's end lies between them.

    A worker writes what one step makes of a user in one go, so they lie close together: a group ends with
    the user's next instant or with the poll, but for the last group of a poll, which is held back until the
    next poll or a moment passes.
    """

    def __init__(self) -> None:
        self._open: dict[str, Message] = {}
        self.held: Message | None = None

    def add(self, message: Message) -> Message | None:
        """The message to track; None: it went into an earlier one. Messages of one poll, in order."""
        before = self._open.get(message.user_id)
        if before is not None and before.transitions[0].at == message.transitions[0].at:
            before.transitions += message.transitions
            before.originals += message.originals
            self._last = before
            return None
        self._open[message.user_id] = message
        self._last = message
        return message

    def end_poll(self, fresh: Sequence[Message]) -> list[Message]:
        """The messages that are complete; the last group is held."""
        if not self._open:
            return list(fresh)
        ready = [] if self.held is None or self.held is self._last else [self.held]
        ready += [message for message in fresh if message is not self._last]
        self.held = self._last
        self._open = {self.held.user_id: self.held}
        return ready

    def release(self) -> Message | None:
        """The held group: nothing more will come for it."""
        held, self.held = self.held, None
        self._open = {}
        return held
