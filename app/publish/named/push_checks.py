"""Whether pushes can work, as far as can be known when they are published: audience, connection, target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agents.connections.published import PublishedConnections
from agents.connections.resolve import ConnectionUnusable, find_connection
from agents.deliver.definitions.systems import KafkaCluster
from agents.deliver.permissions.audiences import lacking_audience
from agents.deliver.permissions.own_topics import OwnTopics
from agents.pushes.contract.parse_push import ParsedPush
from agents.pushes.contract.push import Push
from agents.pushes.targets.made import push_problems
from app.publish.permitted import own_topics_of
from app.publish.refused import NotPermitted
from app.settings.pushes import origins_of
from app.settings.tree import Settings
from rules.compile.audience import PublishedAudience
from rules.parse.problems import DefinitionProblem, DefinitionsInvalid
from rules.parse.values import join

CODE: Final = "not_permitted"


@dataclass(frozen=True, slots=True)
class PushRefusal:
    """``key``: of the definition, where the fault is."""

    key: str
    message: str


class PushChecks:
    """What pushes are checked against. ``usable``: the connections that pushes of a project may name."""

    def __init__(
        self,
        settings: Settings,
        usable: Callable[[str], PublishedConnections],
        audiences: Mapping[bytes, PublishedAudience],
    ) -> None:
        self._usable = usable
        self._audiences = audiences
        self._own: OwnTopics = own_topics_of(settings)
        self._origins = origins_of(settings.pushes)

    def refusals(self, push: Push) -> list[PushRefusal]:
        """All of them, in the order of the definition."""
        lacking = lacking_audience(push.project, push.audience, self._audiences.values())
        found = [] if lacking is None else [PushRefusal("audience", lacking)]
        for each in push_problems(push, self._usable(push.project), self._origins):
            key = next((key for key in ("target", "content") if each.startswith(key)), "connection")
            found.append(PushRefusal(key, each))
        found += self._own_topic(push)
        return found

    def _own_topic(self, push: Push) -> Iterator[PushRefusal]:
        """A topic that the service itself reads or keeps is no place for lists."""
        topic = push.target.get("topic")
        try:
            known = self._usable(push.project)
            reached = find_connection(push.connection, push.project, known, ("kafka",)).reached
        except ConnectionUnusable:
            return
        if isinstance(topic, str) and isinstance(reached, KafkaCluster) and reached.bootstrap is None:
            reason = self._own.why_not(topic)
            if reason is not None:
                yield PushRefusal("target", f"target.topic: {reason}")

    def check_one(self, push: Push) -> Sequence[Push]:
        """The same. Raises NotPermitted with every refusal."""
        if found := self.refusals(push):
            raise NotPermitted([(each.key, each.message) for each in found], "Not a push")
        return [push]

    def check(self, parsed: Iterable[ParsedPush]) -> Sequence[Push]:
        """All of them. Raises DefinitionsInvalid with every refusal and its place."""
        pushes, problems = [], []
        for each in parsed:
            pushes.append(each.push)
            problems += [_placed(each, refusal) for refusal in self.refusals(each.push)]
        if problems:
            raise DefinitionsInvalid(problems)
        return pushes


def _placed(parsed: ParsedPush, refusal: PushRefusal) -> DefinitionProblem:
    entries, at, path = parsed.node.value, parsed.node, parsed.path
    if isinstance(entries, Mapping) and refusal.key in entries:
        at, path = entries[refusal.key].node, join(path, refusal.key)
    return DefinitionProblem(CODE, refusal.message, path, parsed.file, at.line, at.column)
