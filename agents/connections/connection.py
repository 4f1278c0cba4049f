"""A connection as data: which system, how it is reached, and who may use it.

``agents.connections.parse`` makes these from YAML or JSON. A secret is only ever a reference here, as in a
destination (``agents.deliver.secrets.secrets``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from agents.deliver.definitions.destination import Json, Scalar, Secret, Text, Webhook
from agents.deliver.definitions.systems import EventHubNamespace, KafkaCluster

EVERY_PROJECT: Final = "*"


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a use of a webhook fills in. A text may hold ``${variables}`` of the use."""

    kind: Literal["text", "number", "choice"] = "text"
    required: bool = False
    default: Scalar | None = None
    """What stands in where a use gives nothing; None: nothing does."""
    choices: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True, slots=True)
class WebhookTemplate:
    """Requests with parameters: ``${name}`` in ``webhook`` is a parameter, a variable or a field."""

    webhook: Webhook
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """Where files lie: ``s3://bucket/folder``, ``gs://bucket/folder``, ``az://container/folder``.

    Without ``key_id`` and ``key`` the process's own identity is used. ``endpoint`` (an URL) is for services
    that speak S3's, Azure's or Google Cloud's protocol elsewhere. For ``az`` ``key_id`` is the account's
    name. For ``gs`` ``key`` is the JSON of a service account.
    """

    url: str
    endpoint: str | None = None
    region: str | None = None
    key_id: Text | None = None
    key: Secret | None = None
    session_token: Secret | None = None
    path_style: bool = True
    """``endpoint/bucket`` rather than ``bucket.endpoint``, where there is an endpoint."""

    @property
    def scheme(self) -> str:
        """``s3``, ``gs`` or ``az``."""
        return self.url.partition("://")[0]

    @property
    def bucket(self) -> str:
        """The bucket, or Azure's container."""
        return self.url.partition("://")[2].partition("/")[0]

    @property
    def folder(self) -> str:
        """Below which all files are; without slashes at its ends, and empty for the whole bucket."""
        return self.url.partition("://")[2].partition("/")[2].strip("/")


@dataclass(frozen=True, slots=True)
class Sftp:
    """A server that files are written to over SSH. Its key is always checked.

    ``host_keys``: public keys as in a ``known_hosts`` file, without the host's name (``ssh-ed25519 AAAA…``).
    ``fingerprints``: ``SHA256:…`` of such keys, as ``ssh-keygen -lf`` prints them. At least one of either is
    given, and a server that shows another key is not spoken to.
    """

    host: str
    user: str
    port: int = 22
    password: Secret | None = None
    private_key: Secret | None = None
    """The text of a private key in OpenSSH's or PEM form."""
    passphrase: Secret | None = None
    host_keys: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    folder: str = ""
    """Below which all files are; relative to where the account starts, unless it begins with a slash."""


REGION: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
AZURE_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
"""Both become part of a host's name: anything else could lead to another host."""
Reached: TypeAlias = KafkaCluster | EventHubNamespace | WebhookTemplate | ObjectStore | Sftp
Kind: TypeAlias = Literal["kafka", "eventhub", "webhook", "object_store", "sftp"]
KINDS: Final[Mapping[type, Kind]] = {
    KafkaCluster: "kafka",
    EventHubNamespace: "eventhub",
    WebhookTemplate: "webhook",
    ObjectStore: "object_store",
    Sftp: "sftp",
}


@dataclass(frozen=True, slots=True)
class Use:
    """Who may use a connection, besides those who administer it.

    ``projects``: whose destinations and pushes, beside the connection's own project's; ``*`` for all.
    ``keys``: the names of the API keys that may define them; None: each key of these projects.
    """

    projects: frozenset[str] = frozenset()
    keys: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """One definition."""

    name: str
    reached: Reached
    project: str = "default"
    label: str = ""
    description: str = ""
    use: Use = Use()
    administer: frozenset[str] = frozenset()
    """The names of API keys that may change it, beside those with the scope ``admin``."""
    document: Mapping[str, Json] = field(default_factory=dict, compare=False, repr=False)
    """The definition as it was written: what is published."""

    @property
    def kind(self) -> Kind:
        return KINDS[type(self.reached)]

    @property
    def key(self) -> str:
        """``project/name``: what it is known by."""
        return f"{self.project}/{self.name}"


def id_of(reference: str, project: str) -> str:
    """``project/name`` of a connection as a definition of ``project`` names it: ``name``, or
    ``project/name`` where it is another project's."""
    return reference if "/" in reference else f"{project}/{reference}"
