"""From a destination that names a connection to one that says all: the same as if it had been written so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from agents.connections.connection import (
    EVERY_PROJECT,
    Connection,
    Kind,
    Parameter,
    WebhookTemplate,
    id_of,
)
from agents.connections.parameters import why_wrong
from agents.connections.published import PublishedConnections
from agents.deliver.definitions.destination import (
    Destination,
    EventHub,
    Filled,
    KafkaTopic,
    Scalar,
    Target,
    Variable,
    Webhook,
)
from agents.deliver.definitions.systems import EventHubNamespace, KafkaCluster
from agents.deliver.definitions.templates import reach_fault
from rules.parse.problems import name_hint


@dataclass(frozen=True, slots=True)
class UseProblem:
    """Why a definition can't use a connection. ``path``: the place in the definition."""

    path: str
    message: str
    code: str = "wrong_value"


class ConnectionUnusable(Exception):
    """A definition can't use the connection that it names; ``problems`` are all of the reasons."""

    def __init__(self, problems: Iterable[UseProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(each.message for each in self.problems))


def find_connection(
    reference: str, project: str, published: PublishedConnections, kinds: Iterable[Kind]
) -> Connection:
    """The connection that a definition of ``project`` names, of one of these kinds.

    Raises ConnectionUnusable: there is none, it is of another kind, or it isn't for the project.
    """
    wanted = id_of(reference, project)
    found = published.get(wanted)
    if found is None or found.deleted or not may_use(found.definition, project):
        # One that the project may not use is as if it weren't there.
        named = [
            each.definition.name if each.definition.project == project else each.definition.key
            for each in published.values()
            if not each.deleted and may_use(each.definition, project)
        ]
        hint = name_hint(reference, named) if named else "none is published that it may use"
        message = f"project '{project}' has no connection '{reference}'; {hint}"
        raise ConnectionUnusable([UseProblem("connection", message, "unknown_connection")])
    allowed = tuple(kinds)
    if found.definition.kind not in allowed:
        message = (
            f"connection '{reference}' is of the kind {found.definition.kind}, not {' or '.join(allowed)}"
        )
        raise ConnectionUnusable([UseProblem("connection", message)])
    return found.definition


def may_use(connection: Connection, project: str) -> bool:
    """Whether definitions of a project may name it."""
    projects = connection.use.projects
    return connection.project == project or project in projects or EVERY_PROJECT in projects


def resolved(destination: Destination, published: PublishedConnections) -> Destination:
    """The destination with all that its connection says. Raises ConnectionUnusable."""
    if destination.connection is None or destination.lender is not None:
        return destination
    connection = find_connection(
        destination.connection, destination.project, published, (_kind_of(destination),)
    )
    target = _target(destination.target, connection)
    found = replace(destination, target=target, lender=connection.project)
    if (reason := reach_fault(found)) is not None:
        raise ConnectionUnusable([UseProblem("reach_by", reason)])
    return found


def resolved_or_refused(destination: Destination, published: PublishedConnections) -> Destination:
    """``resolved``; one that can't be is refused (``Destination.refused``), which says why."""
    try:
        return resolved(destination, published)
    except ConnectionUnusable as error:
        reasons = [destination.refused, str(error)] if destination.refused else [str(error)]
        return replace(destination, refused="; ".join(reasons))


def _kind_of(destination: Destination) -> Kind:
    target = destination.target
    if isinstance(target, Webhook):
        return "webhook"
    return "kafka" if isinstance(target, KafkaTopic) else "eventhub"


def _target(own: Target, connection: Connection) -> Target:
    reached = connection.reached
    if isinstance(own, Webhook):
        assert isinstance(reached, WebhookTemplate)
        return fill_in(reached, own.parameters, own.variables)
    if isinstance(own, KafkaTopic):
        assert isinstance(reached, KafkaCluster)
        return reached.with_topic(own)
    assert isinstance(reached, EventHubNamespace)
    return _hub(own, reached, connection)


def _hub(own: EventHub, reached: EventHubNamespace, connection: Connection) -> EventHub:
    if reached.hub is not None and own.hub not in (None, reached.hub):
        message = f"connection '{connection.name}' is for the hub '{reached.hub}' only"
        raise ConnectionUnusable([UseProblem("eventhub.hub", message)])
    made = reached.with_hub(own)
    if made.namespace is not None and made.hub is None:
        message = f"connection '{connection.name}' names no hub, so 'hub' is needed"
        raise ConnectionUnusable([UseProblem("eventhub", message, "missing_key")])
    return made


def fill_in(
    template: WebhookTemplate, given: Mapping[str, Scalar], variables: Mapping[str, Variable | Filled]
) -> Webhook:
    """The webhook of a template whose parameters are ``given``; text in them may hold ``variables``.

    Raises ConnectionUnusable with all that is missing, unknown or of the wrong type.
    """
    problems = list(_wrong(template.parameters, given))
    if problems:
        raise ConnectionUnusable(problems)
    own = {name: each for name, each in variables.items() if isinstance(each, Variable)}
    filled = {
        name: Filled(given.get(name, parameter.default), own if name in given else {})
        for name, parameter in template.parameters.items()
    }
    webhook = template.webhook
    return replace(webhook, variables={**webhook.variables, **filled}, parameters=given)


def _wrong(parameters: Mapping[str, Parameter], given: Mapping[str, Scalar]) -> Iterable[UseProblem]:
    for name, parameter in parameters.items():
        if parameter.required and name not in given:
            told = f": {parameter.help}" if parameter.help else ""
            message = f"the parameter '{name}' ({parameter.kind}) is needed{told}"
            yield UseProblem("webhook.parameters", message, "missing_key")
    for name, value in given.items():
        path = f"webhook.parameters.{name}"
        if name not in parameters:
            hint = name_hint(name, parameters) if parameters else "it has none"
            message = f"the connection has no parameter '{name}'; {hint}"
            yield UseProblem(path, message, "unknown_parameter")
        elif (reason := why_wrong(name, parameters[name], value)) is not None:
            yield UseProblem(path, reason)
