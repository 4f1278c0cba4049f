"""API keys on their topic, for one command."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from agents.registry.api_keys import KeyRecord, encode_key
from agents.registry.api_keys_topic import ApiKeys
from agents.registry.audit import Action, audit_record
from agents.registry.unusable import UnusableRecord
from agents.registry.writer import Change
from app.publish.author import shell_author
from app.publish.topics import DefinitionTopics

KnownKeys = Mapping[str, KeyRecord | UnusableRecord]
"""By name, revoked ones too."""


async def known_keys(topics: DefinitionTopics) -> KnownKeys:
    """Everything on the topic; nothing when there is no such topic yet."""
    return _known(await topics.read(topics.keys, tell=False))


async def change_key(
    topics: DefinitionTopics, name: str, action: Action, decide: Callable[[KnownKeys], KeyRecord]
) -> KeyRecord:
    """Publish what ``decide`` makes of the keys that are there, and tell the audit topic in each of its
    projects. Raises what ``decide`` raises, and as ``DefinitionTopics.change``."""

    def made(keys: ApiKeys) -> Change[KeyRecord]:
        key = decide(_known(keys))
        author, now_ms = shell_author(), time.time_ns() // 1_000_000
        told = [author.told("key", name, action, now_ms, project=each) for each in key.projects]
        return Change(key, [(name.encode(), encode_key(key))], [audit_record(each) for each in told])

    return await topics.change(topics.keys, made, tell=False)


def _known(keys: ApiKeys) -> KnownKeys:
    unusable = {(key or b"").decode("utf-8", "replace"): each for key, each in keys.unusable.items()}
    return {**keys.published, **unusable}
