"""Receipts of erasures on ``<prefix>.erasures``: who was erased, under a pseudonym, and when.

Key: the pseudonym (``tables.erased``) in hexadecimal digits; the last erasure of a user counts. A record
whose key begins with ``rewritten/`` says since when a topic has nothing of the users who were erased before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import ClassVar, Final

import msgspec
from aiokafka import AIOKafkaConsumer

from agents.registry.feed import Feed
from agents.registry.registry import Registry, RegistryRecord
from agents.registry.unusable import Unusable
from agents.warnings import Warnings
from rules.time.instants import format_instant, parse_instant
from tables.codec import row_key
from tables.erased import Erased, pseudonym

REWRITTEN: Final = "rewritten/"
UNUSABLE: Final = "unusable_erasure"
"""The code of the warning about a record that is no receipt."""


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One erasure, or one rewriting of a topic."""

    at: str
    """By the clock of the user's partition; of a rewriting, by the wall clock when it began."""
    asked: str = ""
    """The timestamp of the record that asked for it; empty: an older program wrote the receipt."""
    cleaned: str = ""
    """By the wall clock: since then the owner's files hold nothing of the user; empty: not yet."""
    user: str = ""
    """The pseudonym; empty: a rewriting."""
    project: str = ""
    partition: int = 0
    requests: tuple[str, ...] = ()
    """Ids of the records that asked for it, the latest last."""
    topic: str = ""
    """That was rewritten."""

    @property
    def before_ms(self) -> int:
        """Records of the user with timestamps up to this one don't count any more."""
        return max(parse_instant(each) for each in (self.at, self.asked) if each)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Receipt).decode


def receipt_of(name: bytes, erased: Erased, partition: int, cleaned: str = "") -> Receipt:
    """The receipt of an erasure; ``name`` is the user's pseudonym."""
    return Receipt(
        format_instant(erased.at_ms),
        format_instant(erased.asked_ms) if erased.asked_ms else "",
        cleaned,
        name.hex(),
        erased.project,
        partition,
        tuple(erased.requests),
    )


def receipt_record(receipt: Receipt) -> tuple[bytes, bytes]:
    """Key and value of the record."""
    return (receipt.user or REWRITTEN + receipt.topic).encode(), _encode(receipt)


class Erasures(Registry[str, Receipt]):
    """What is on the topic, by its key."""

    key_is: ClassVar[str] = "a receipt needs a pseudonym as its key"

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.next_offset = 0
        """After the last record that told of another erasure."""
        self._offset = 0
        self.unclean: defaultdict[int, set[bytes]] = defaultdict(set)
        """By partition of the table, the pseudonyms of whom the owner's files may hold something."""
        self.before_ms: dict[bytes, int] = {}
        """``Receipt.before_ms`` by pseudonym."""
        self.latest_ms: dict[int, int] = {}
        """The highest of them, by partition of the table."""

    def take(self, record: RegistryRecord) -> bool:
        self._offset = record.offset
        return super().take(record)

    def id_of(self, key: bytes) -> str:
        if not key:
            raise Unusable(f"{self.key_is}, and this record's key is empty")
        return key.decode()

    def decode(self, key: bytes, value: bytes) -> Receipt:
        receipt = _decode(value)
        if receipt.user:
            name = bytes.fromhex(receipt.user)
            known = self.published.get(receipt.user)
            if known is None or known.at != receipt.at:
                self.next_offset = self._offset + 1
            self.before_ms[name] = before_ms = receipt.before_ms
            self.latest_ms[receipt.partition] = max(before_ms, self.latest_ms.get(receipt.partition, 0))
            if receipt.cleaned:
                self.unclean[receipt.partition].discard(name)
            else:
                self.unclean[receipt.partition].add(name)
        return receipt

    def of_request(self, request: str) -> Receipt | None:
        """The receipt of the erasure that a record with this id asked for."""
        found = (each for each in self.published.values() if request in each.requests)
        return next(found, None)

    def of_user(self, project: str, user_id: str) -> Receipt | None:
        """The receipt of a user's last erasure; None: there was none."""
        return self.published.get(pseudonym(row_key(project, user_id)).hex()) if self.published else None

    def erased_ms(self, project: str, user_id: str) -> int | None:
        """When a user was erased last, by the clock of the user's partition; None: never."""
        found = self.of_user(project, user_id)
        return None if found is None else parse_instant(found.at)

    def is_over(self, project: str, user_id: str, at: str, cause: str) -> bool:
        """Whether a transition was before its user was erased; not one of that millisecond, and no exit of an
        erasure."""
        erased_ms = self.erased_ms(project, user_id)
        return erased_ms is not None and cause != "delete" and parse_instant(at) < erased_ms

    def rewritten(self, topic: str) -> str | None:
        """When the last rewriting of a topic began; None: there was none."""
        found = self.published.get(REWRITTEN + topic)
        return None if found is None else found.at


def erasures_feed(
    new_consumer: Callable[[], AIOKafkaConsumer], topic: str, warnings: Warnings
) -> Feed[Erasures]:
    """Follows the topic."""
    return Feed(new_consumer, Erasures(topic), UNUSABLE, warnings)
