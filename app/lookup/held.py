"""What a process holds itself, and how the others are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from app.lookup.model import LookupRequest, Told
from rules.compile.rule_set import RuleSet

Credentials: TypeAlias = Mapping[str, str]
"""The headers by which the caller is let in elsewhere."""


class Held(Protocol):
    """The users that this process holds: a worker's partitions, or a reader's."""

    @property
    def rules(self) -> RuleSet:
        """The latest definitions that it knows."""
        ...

    def partitions_of(self, user_ids: Sequence[str]) -> Sequence[int]: ...

    async def look(
        self, partition: int, user_ids: Sequence[str], asked: LookupRequest
    ) -> Sequence[Told | None] | None:
        """Of these users of a partition, in the order given, by the request's other fields; None: it doesn't
        hold the user, or the whole partition, now."""
        ...

    def look_at_once(
        self, by_partition: Mapping[int, Sequence[str]], asked: LookupRequest
    ) -> dict[int, list[bytes]] | None:
        """The same as JSON, by partition, where nothing has to be waited for and every answer is whole; None:
        ``look`` must tell."""
        ...


class Others(Protocol):
    """The processes that hold the other partitions."""

    def url_of(self, partition: int) -> str | None:
        """Who holds a partition; None: not known now, or it is this process."""
        ...

    async def ask(self, url: str, asked: LookupRequest, credentials: Credentials) -> list[Told]:
        """What another process answers. Raises NoAnswer."""
        ...


class NoAnswer(Exception):
    """Another process doesn't answer, or not as it should; the text says why."""
