"""A destination as data: what goes there, in which shape, and how it is reached.

``agents.deliver.definitions.parse`` makes these from YAML or JSON. Durations are milliseconds. A secret is
only ever a reference here; ``agents.deliver.secrets.secrets`` looks it up where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from rules.model.language import EventPattern, Predicate
from rules.state.row import Cause

DAY_MS = 86_400_000

BodyFormat: TypeAlias = Literal["native", "lytics", "segment"]
TransitionEvent: TypeAlias = Literal["enter", "exit"]
CAUSES: frozenset[Cause] = frozenset(get_args(Cause))
"""Whatever a transition's cause may be."""
Scalar: TypeAlias = str | int | float | bool
Json: TypeAlias = bool | int | float | str | tuple["Json", ...] | Mapping[str, "Json"] | None


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by its name in the settings (``deliver.secrets``).

    ``old_source``: in definitions from before the settings declared secrets, ``name`` is a variable or a
    file; such a reference is refused.
    """

    name: str
    old_source: Literal["env", "file"] | None = None


Text: TypeAlias = str | Secret
"""Text that stands in the definition, or that is looked up."""


@dataclass(frozen=True, slots=True)
class Variable:
    """``${name}`` of a template: a user's attribute, a property of the causing event, a transition's field.

    ``default`` stands in where there is no value, or an empty one; None: nothing does.
    """

    source: Literal["attribute", "property", "field"]
    path: tuple[str, ...]
    default: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """``${name}`` of a connection's template: a parameter, as a destination fills it in.

    ``value``: a constant, or a text that may hold ``variables`` of the destination. ``is_data``: it is what a
    user might have, so nothing in it is a variable.
    """

    value: Scalar | None
    variables: Mapping[str, Variable | Filled] = field(default_factory=dict)
    is_data: bool = False


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a transition is tried again; the pauses double from ``first_ms`` to ``most_ms``, jittered."""

    for_ms: int = 3 * DAY_MS
    first_ms: int = 1_000
    most_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class Webhook:
    """HTTP requests. ``json`` or ``form`` is a template; with neither, it is the destination's ``body``.

    ``batch`` above 1: a JSON array of as many bodies in one request. ``concurrency`` requests at a time,
    those of one user never two.
    """

    url: Text
    method: Literal["POST", "PUT", "PATCH", "GET", "DELETE"] = "POST"
    headers: Mapping[str, Text] = field(default_factory=dict)
    query: Mapping[str, Text] = field(default_factory=dict)
    form: Mapping[str, Text] | None = None
    json: Json = None
    variables: Mapping[str, Variable | Filled] = field(default_factory=dict)
    signing_secret: Secret | None = None
    batch: int = 1
    concurrency: int = 16
    timeout_ms: int = 15_000
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    """What a destination fills into the template of its connection; without a connection there are none."""


@dataclass(frozen=True, slots=True)
class EventHub:
    """An Azure event hub, by ``connection_string``, or by ``namespace`` (``x.servicebus.windows.net``) and
    Azure identity. ``hub`` may be left out where the connection string has an ``EntityPath``.

    ``partitioning``: ``lanes`` chooses the hub's partition by a stable hash of the user id (fast, in
    batches); ``key`` leaves it to the service's hash of the partition key (slow). ``batch`` transitions at
    most go into one publication of ``max_batch_bytes`` at most (None: what the link allows).
    """

    connection_string: Secret | None = None
    namespace: str | None = None
    hub: str | None = None
    partitioning: Literal["lanes", "key"] = "lanes"
    batch: int = 500
    max_batch_bytes: int | None = None
    timeout_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class KafkaTopic:
    """A topic of our own cluster, or of the one at ``bootstrap``.

    ``topic`` may hold ``${audience}`` and ``${project}``: a topic per audience. ``fields`` maps names in the
    record to fields of the transition (empty: the body as it is). ``membership``: an exit is a tombstone,
    for a compacted topic of those who are in; the key is then user id, or ``audience/user id`` where several
    audiences share the topic.
    """

    topic: str
    bootstrap: str | None = None
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: Text | None = None
    sasl_password: Secret | None = None
    ssl_cafile: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    membership: bool = False
    batch: int = 1_000
    timeout_ms: int = 30_000


Target: TypeAlias = Webhook | EventHub | KafkaTopic


@dataclass(frozen=True, slots=True)
class Destination:
    """One definition. ``audiences`` None: all of the project."""

    name: str
    target: Target
    project: str = "default"
    label: str = ""
    description: str = ""
    connection: str | None = None
    """Of whose system ``target`` holds no more than this destination's own part, until it is resolved
    (``agents.connections.resolve``): ``name``, or ``project/name``."""
    lender: str | None = None
    """The project of the connection that it was resolved with, whose secrets it uses."""
    audiences: frozenset[str] | None = None
    on: Literal["transition", "event"] = "transition"
    """What is sent: each transition, or each event that the audiences' rules let through."""
    events: tuple[EventPattern, ...] = ()
    """With ``on: event``, which; empty: those that the rules of its audiences ask for."""
    transitions: frozenset[TransitionEvent] = frozenset({"enter", "exit"})
    causes: frozenset[Cause] = CAUSES
    existing_members: bool = False
    where: Predicate | None = None
    """Over the fields of a transition (docs/contracts.md, section 3)."""
    body: BodyFormat = "native"
    id_type: str = "user_id"
    """``user_id``, or the name of an identity that is sent in its place."""
    reach_by: str | None = None
    """The identity by which the receiver is to reach the user; it goes along with the id that is sent."""
    attributes: tuple[str, ...] = ()
    """Attributes and identities of the user that bodies ``lytics`` and ``segment`` carry along."""
    retry: RetryPolicy = RetryPolicy()
    rate: float | None = None
    """Transitions a second at most; None: as fast as it goes."""
    paused: bool = False
    refused: str = ""
    """Why it doesn't run although it was published: an older version took what this one refuses."""
    document: Mapping[str, Json] = field(default_factory=dict, compare=False, repr=False)
    """The definition as it was written: what is published."""

    @property
    def kind(self) -> str:
        """``webhook``, ``eventhub`` or ``kafka``."""
        return KINDS[type(self.target)]

    @property
    def key(self) -> str:
        """What it is known by: names are the same for all projects."""
        return self.name

    @property
    def secrets_project(self) -> str:
        """The project whose secrets it may use."""
        return self.project if self.lender is None else self.lender


KINDS: Mapping[type, str] = {Webhook: "webhook", EventHub: "eventhub", KafkaTopic: "kafka"}
