"""From records of the transitions topic to messages: read, filtered, and for ``lytics`` grouped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord
from msgspec.structs import replace as structs_replace

from agents.deliver.contract.delivery import Delivery
from agents.evaluate.transitions import PROPERTIES_HEADER, TransitionBody

_decode = msgspec.json.Decoder(TransitionBody).decode
_decode_properties = msgspec.json.Decoder(dict[str, Any]).decode


class Original(msgspec.Struct, frozen=True, gc=False):
    """A record as it lies on the transitions topic (or would, for a member from the backfill)."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    partition: int
    offset: int
    timestamp: int


class Message(msgspec.Struct, eq=False):
    """One message on its way to a destination."""

    user_id: str
    transitions: tuple[TransitionBody, ...]
    originals: tuple[Original, ...]
    partition: int
    offset: int
    """Of the first original: nothing from here on is committed before the message is done; -1: none."""
    done: bool = False
    attempts: int = 0
    first_s: float = 0.0
    """Monotonic time of the first attempt."""
    delivery: Delivery | None = None


class Unreadable(Exception):
    """A record on the transitions topic isn't a transition."""


def read_transition(value: bytes | None) -> TransitionBody:
    """Raises Unreadable. An event of a destination names its audience as transitions do."""
    try:
        found = _decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(str(error)) from None
    except RecursionError:
        raise Unreadable("nested too deep") from None
    return structs_replace(found, audience=found.filter, filter="") if found.destination else found


def original_of(record: ConsumerRecord[bytes, bytes]) -> Original:
    return Original(
        record.key,
        record.value,
        record.headers,
        record.partition,
        record.offset,
        record.timestamp,
    )


def properties_of(message: Message) -> Mapping[str, object]:
    """Properties of the event, or of the one behind a (first) transition, where the worker wrote them."""
    original = message.originals[0]
    if message.transitions[0].destination:
        return message.transitions[0].properties
    for name, value in original.headers:
        if name == PROPERTIES_HEADER:
            try:
                return _decode_properties(value)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return {}
    return {}
