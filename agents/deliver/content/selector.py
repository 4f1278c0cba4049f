"""Which transitions a destination wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agents.deliver.definitions.destination import Destination
from agents.evaluate.transitions import TransitionBody, fields_of
from rules.predicates.compiled import compile_predicate


class Selector:
    """Which transitions a destination wants."""

    def __init__(self, destination: Destination) -> None:
        self._project = destination.project
        self._name = destination.name
        self._is_on_event = destination.on == "event"
        self._audiences = destination.audiences
        self._events = destination.transitions
        self._causes = destination.causes
        self._where: Callable[[Mapping[str, object]], bool] | None = (
            None if destination.where is None else compile_predicate(destination.where)
        )

    def wants(self, transition: TransitionBody) -> bool:
        if self._is_on_event:
            # Whose event it is, and whether the rules let it through, workers have decided.
            return (
                transition.destination == self._name
                and transition.project == self._project
                and (self._where is None or self._where(fields_of(transition)))
            )
        return (
            transition.event in self._events
            and transition.cause in self._causes
            and (self._audiences is None or transition.audience in self._audiences)
            and transition.project == self._project
            and (self._where is None or self._where(fields_of(transition)))
        )
