"""Where a project's notices go: its one notify address, on a compacted topic (``<prefix>.notify``).

Key: the project. Value: ``NotifyAddress`` as JSON; a tombstone: the project wants no notices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Final, Literal, get_args

import msgspec
from aiokafka import AIOKafkaConsumer

from agents.registry.feed import Feed
from agents.registry.registry import Registry
from agents.registry.unusable import Unusable, UnusableRecord
from agents.warnings import Warnings
from rules.time.instants import MAX_MS

UNUSABLE: Final = "notify_unreadable"
"""The code of the warning about a record that can't be used."""

AuthType = Literal["NO_AUTH_UNSPECIFIED", "API_KEY"]
"""Whether the headers of ``auth_configs`` go along."""
SendMode = Literal["ONLY_ONCE_UNSPECIFIED", "RETRYABLE"]
"""Never twice, but perhaps not at all; or at least once."""
AUTH_TYPES: Final[tuple[AuthType, ...]] = get_args(AuthType)
SEND_MODES: Final[tuple[SendMode, ...]] = get_args(SendMode)


class AuthHeader(msgspec.Struct, frozen=True):
    """A header that goes along with each notice."""

    key: str
    value: str


class NotifyAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of a record."""

    notify_id: str
    url: str
    auth_type: AuthType
    send_mode: SendMode
    headers: tuple[AuthHeader, ...] = ()
    number: Annotated[int, msgspec.Meta(ge=1)] = 1
    """How many addresses the project has had."""
    since_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_MS)] = 0
    """From when on the project wants notices; nothing is told of what was before."""


_decode = msgspec.json.Decoder(NotifyAddress).decode
_encode = msgspec.json.Encoder().encode


def address_record(project: str, address: NotifyAddress | None) -> tuple[bytes, bytes | None]:
    """Key and value; None takes the project's address away."""
    return project.encode(), None if address is None else _encode(address)


class NotifyAddresses(Registry[str, NotifyAddress]):
    """By project. Where a record can't be used nothing is sent: the one before may be what was taken back."""

    key_is: ClassVar[str] = "a notify address needs its project as the record's key"
    keeps_before: ClassVar[bool] = False

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.numbers: dict[str, int] = {}
        """The ``number`` of each project's latest address, of one that was taken away, too."""

    def id_of(self, key: bytes) -> str:
        if not key:
            raise Unusable(f"{self.key_is}, and this record's key is empty")
        return key.decode()

    def decode(self, key: bytes, value: bytes) -> NotifyAddress:
        address = _decode(value)
        self.numbers[self.id_of(key)] = address.number
        return address


def notify_feed(
    new_consumer: Callable[[], AIOKafkaConsumer],
    topic: str,
    warnings: Warnings,
    changed: Callable[[], None] = lambda: None,
) -> Feed[NotifyAddresses]:
    """Follows the topic. A record that it can't use is a warning, and the project gets no notices."""
    return Feed(new_consumer, NotifyAddresses(topic), UNUSABLE, warnings, changed, _tell)


def _tell(told: UnusableRecord) -> str:
    return f"{told.reason}. The project gets no notices until its address is set again"
