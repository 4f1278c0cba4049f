"""The topics that delivery reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputTopics:
    """Names, and how many partitions they have."""

    transitions: str
    partitions: int
    """Of the transitions topic. Members are shared out among them, too."""
    changelog: str
    changelog_partitions: int
    audiences: str
