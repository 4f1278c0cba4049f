"""What ends a command with a message instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from app.shown_bytes import safe

USERS_TURN = frozenset(
    {
        "agents.evaluate.native.core.CoreMissing",
        "agents.kafka.membership.GroupRefused",
        "agents.restore.lost.PartitionsChanged",
        "agents.restore.lost.ChangelogLost",
        "agents.topics.fault.TopicsUnusable",
        "app.kafka.embedded.BrokerNotInstalled",
        "app.kafka.embedded.BrokerNotReady",
        "app.failures.CommandFailed",
        "app.settings.sources.SettingsInvalid",
        "rules.parse.problems.DefinitionsInvalid",
        "tables.store_faults.StoreUnusable",
    }
)
"""Exceptions by name, so that naming them imports nothing. Their texts are written for users."""


FAILED = 2
"""Exit code for settings, definitions, topics and brokers that can't be used."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""


class CommandFailed(Exception):
    """A command can't do what it was asked to; the text says why, and what to do."""


def tell_unusable(records: Iterable[object]) -> None:
    """Say on standard error which records (``agents.registry.unusable.UnusableRecord``) a command passed
    by."""
    for each in records:
        print(safe(f"passed by, because it can't be used: {each}"), file=sys.stderr)


def message_for_users(error: BaseException) -> str | None:
    """The text to end with; None: the error is a bug of ours, and its traceback is wanted."""
    for kind in type(error).__mro__:
        if f"{kind.__module__}.{kind.__qualname__}" in USERS_TURN:
            return str(error)
    return None
