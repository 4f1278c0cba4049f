"""What requests about connections are answered with (docs/http.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET, Struct, UnsetType

from agents.connections.connection import Parameter, WebhookTemplate
from agents.connections.published import PublishedConnection
from agents.connections.uses import Reference


class ParameterShown(Struct, frozen=True, omit_defaults=True):
    """What a use fills in."""

    type: str
    required: bool
    default: str | int | float | bool | None = None
    choices: tuple[str, ...] = ()
    help: str = ""


class ReferenceShown(Struct, frozen=True):
    """A definition that names the connection."""

    kind: str
    project: str
    name: str


class ConnectionShown(Struct, frozen=True, kw_only=True):
    """A connection; secrets are references. ``definition``, ``used_by``: for those who administer it only."""

    name: str
    project: str
    kind: str
    version: int
    label: str
    description: str
    parameters: Mapping[str, ParameterShown]
    definition: Mapping[str, object] | UnsetType = UNSET
    used_by: Sequence[ReferenceShown] | UnsetType = UNSET


class ConnectionsShown(Struct, frozen=True):
    """``unreadable``: why a published record can't be used, by its key."""

    connections: list[ConnectionShown]
    unreadable: Mapping[str, str]


def connection_shown(published: PublishedConnection, used_by: Sequence[Reference] | None) -> ConnectionShown:
    """``used_by`` None: the caller doesn't administer it."""
    connection = published.definition
    reached = connection.reached
    parameters = reached.parameters if isinstance(reached, WebhookTemplate) else {}
    is_whole = used_by is not None
    return ConnectionShown(
        name=connection.name,
        project=connection.project,
        kind=connection.kind,
        version=published.version,
        label=connection.label,
        description=connection.description,
        parameters={name: _parameter(each) for name, each in parameters.items()},
        definition=connection.document if is_whole else UNSET,
        used_by=[_reference(each) for each in used_by] if used_by is not None else UNSET,
    )


def _parameter(parameter: Parameter) -> ParameterShown:
    return ParameterShown(
        parameter.kind, parameter.required, parameter.default, parameter.choices, parameter.help
    )


def _reference(reference: Reference) -> ReferenceShown:
    return ReferenceShown(reference.kind, reference.project, reference.name)
