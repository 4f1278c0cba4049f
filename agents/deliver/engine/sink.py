"""What delivery asks of a kind of destination: open, send batches, close.

Division of labour. The core (``agents.deliver.engine.engine``) reads the transitions topic, filters, makes
bodies, keeps each user in one *lane*, retries with backoff for days, writes dead letters, moves offsets.
A sink knows one protocol: it takes a batch and says for each delivery what became of it. It keeps no state
about deliveries, never retries by itself for longer than one ``send`` lasts, and never sleeps out a backoff.

**Lanes and order.** ``open`` says how many lanes there are. A user's deliveries all go to the lane
``lane_of(user_id, lanes)``, in order. A lane has one ``send`` outstanding at a time; different lanes call
``send`` at the same time. For Event Hub a lane is a partition of the hub, for webhooks one of the requests
under way. Within one batch a sink must keep the order of deliveries with the same ``user_id``: once one of
them isn't delivered, the later ones of that user must not be, and get ``Retry`` or ``Unknown`` as well.

**Outcomes.** ``Delivered``: the destination has it, for good. ``Refused``: it will never take this one; it
goes to the dead letters with the reason, and the user's next one is sent. ``Retry``: it surely or
probably didn't take it. ``Unknown``: it may have taken it (a timeout, a broken connection after sending);
like ``Retry`` it is sent again, with the same id and body, and is counted apart. ``retry_after_s`` is the
least pause; ``whole`` says that all lanes must pause with it (a throttled, dead or misconfigured
destination), not this user alone.

**Back-pressure.** While a lane's ``send`` is under way, deliveries pile up in it to a fixed number over all
lanes; then the consumer is no longer polled. So a sink just takes its time: a send that waits for the
service is what slows the reader. The size of batches is what piled up, up to ``batch``.

**Errors.** ``open`` raises SinkUnavailable for what may pass (it is called again, with backoff) and
SinkMisconfigured for what won't without a change of the definition, a secret or the destination (called
again, slowly, and shown as an alert). Anything else that ``open`` or ``send`` raises is a bug: the
destination stops without committing, and is started anew. What a client raises before a byte is sent, and
because of the message alone, is no bug and won't pass either: that is ``Refused``. ``send`` may be
cancelled, when partitions move or the process ends: it must then leave the sink usable or closable, and what
was in hand comes again.

No text in an outcome or an exception may hold a secret; ``agents.deliver.secrets.secrets.Secrets.masked``
takes them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias
from zlib import crc32

import msgspec

from agents.deliver.definitions.hosts import HostPattern
from agents.deliver.definitions.own_topics import OwnTopics
from agents.deliver.engine.errors import SinkMisconfigured, SinkUnavailable
from agents.deliver.secrets.secrets import Secrets
from agents.evaluate.transitions import TransitionBody
from agents.kafka.broker import Broker


@dataclass(frozen=True, slots=True)
class UserFacts:
    """What a worker knows of a user: only looked up where the definition needs it."""

    attributes: Mapping[str, object]
    identities: Mapping[str, str]


class Delivery(msgspec.Struct, frozen=True, eq=False):
    """One message to send. Compared by identity.

    ``id`` is the same however often it is sent: the transition's, or a digest of the ids where ``lytics``
    puts several transitions of one user and instant into one message. ``body`` is that message in the
    destination's body format (JSON, UTF-8); ``id_sent`` the id of the type that is to be sent.
    """

    id: str
    user_id: str
    id_sent: str
    transitions: tuple[TransitionBody, ...]
    """One, but for ``lytics``, which may have several."""
    body: bytes
    partition: int
    """Of the transitions topic."""
    offset: int
    """Of the last of the transitions on its topic; -1: a current member from the backfill."""
    properties: Mapping[str, object] = {}
    """Properties of the event that caused it, where the worker wrote them."""
    user: UserFacts | None = None

    @property
    def audience(self) -> str:
        """Id of the (first) transition's audience."""
        return self.transitions[0].audience


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """For good. ``code`` is for programs (``http_400``, ``too_large``), ``reason`` for people."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Not taken; send again, at the earliest after ``retry_after_s``."""

    code: str
    reason: str
    retry_after_s: float | None = None
    whole: bool = False
    """All lanes pause, not this user alone."""
    needs_change: bool = False
    """It won't pass without a change of a secret, of rights, of the destination: shown as an alert."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Perhaps taken; send again."""

    code: str
    reason: str
    retry_after_s: float | None = None
    whole: bool = False


Outcome: TypeAlias = Delivered | Refused | Retry | Unknown

DELIVERED = Delivered()

__all__ = [
    "DELIVERED",
    "Delivered",
    "Delivery",
    "Lanes",
    "Outcome",
    "Refused",
    "Retry",
    "Sink",
    "SinkContext",
    "SinkMisconfigured",
    "SinkUnavailable",
    "Unknown",
    "UserFacts",
    "lane_of",
]


@dataclass(frozen=True, slots=True)
class Lanes:
    """What ``open`` found: ``count`` lanes, of which each takes up to ``batch`` deliveries at once."""

    count: int
    batch: int


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What every sink is made with, beside its destination."""

    secrets: Secrets
    broker: Broker
    """The service's own cluster."""
    allow_private: bool = False
    """Whether destinations may be at loopback, private and link-local addresses."""
    own_topics: OwnTopics | None = None
    """Those that no destination writes to; None: there are none (tests)."""
    eventhub_hosts: tuple[HostPattern, ...] = ()
    """Where event hubs may be beside Azure."""
    trace: Callable[[Mapping[str, object]], None] | None = None
    """Set by a test send: gets what was sent and what was answered (JSON-able; the caller masks secrets)."""


class Sink(Protocol):
    """One destination, on one event loop. Made as ``SomeSink(destination, context)``, which does no I/O."""

    async def open(self) -> Lanes:
        """Connect. Raises SinkUnavailable, SinkMisconfigured. May be called again after either."""

    async def send(self, lane: int, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        """What became of each delivery of ``batch`` (1 to ``Lanes.batch`` of them), in its order."""

    async def close(self) -> None:
        """Let go of connections, after ``open``, whether it succeeded or not. Never raises."""


def lane_of(user_id: str, lanes: int) -> int:
    """The user's lane: a function of these two alone, the same in every process and version."""
    return crc32(user_id.encode("utf-8", "surrogatepass")) % lanes
