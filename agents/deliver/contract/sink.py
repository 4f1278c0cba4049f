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

**Outcomes.** ``Delivered``: the destination has it, for good. ``Rejected``: it will never take this one; it
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
destination stops without committing, and is started again. What a client raises before a byte is sent, and
because of the message alone, is no bug and won't pass either: that is ``Rejected``. ``send`` may be
cancelled, when partitions move or the process ends: it must then leave the sink usable or closable, and what
was in hand comes again.

No text in an outcome or an exception may hold a secret; ``agents.deliver.secrets.secrets.Secrets.masked``
takes them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import Outcome
from agents.deliver.definitions.hosts import HostPattern
from agents.deliver.permissions.own_topics import OwnTopics
from agents.deliver.secrets.secrets import Secrets
from agents.kafka.broker import Broker


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
