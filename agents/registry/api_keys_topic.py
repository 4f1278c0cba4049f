"""The topic of API keys: what is in force of it, and following it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import msgspec
from aiokafka import AIOKafkaConsumer

from agents.registry.api_keys import KeyRecord, decode_key
from agents.registry.feed import Feed
from agents.registry.registry import Registry
from agents.registry.unusable import Unusable, UnusableRecord
from agents.warnings import Warnings

UNUSABLE = "unusable_key"
"""The code of the warning about a record that isn't a key."""


class ApiKeys(Registry[str, KeyRecord]):
    """The keys of the topic, by name. A record that can't be used lets nobody in, so the one before it
    doesn't stay in force: it may be what was revoked."""

    key_is: ClassVar[str] = "a key needs its name as the record's key"
    keeps_before: ClassVar[bool] = False

    def id_of(self, key: bytes) -> str:
        if not key:
            raise Unusable(f"{self.key_is}, and this record's key is empty")
        return key.decode()

    def decode(self, key: bytes, value: bytes) -> KeyRecord:
        try:
            return decode_key(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unusable(f"the record isn't an API key of this version: {error}") from None


def api_keys_feed(
    new_consumer: Callable[[], AIOKafkaConsumer], topic: str, warnings: Warnings
) -> Feed[ApiKeys]:
    """Follows the topic of keys. What it can't use lets nobody in, and is a warning."""
    return Feed(new_consumer, ApiKeys(topic), UNUSABLE, warnings, tell=_lets_nobody_in)


def _lets_nobody_in(told: UnusableRecord) -> str:
    return f"{told.reason}. It lets nobody in; `turnstile keys create` or `revoke` writes it again"
