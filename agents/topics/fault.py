"""A fault of a topic: what is wrong, what is allowed, why, and what mends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class TopicsUnusable(Exception):
    """The topics on the broker don't fit; the text says which, why, and what mends it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a topic."""

    topic: str
    wrong: str
    """What is so, after the topic's name: ``has cleanup.policy 'delete'``."""
    allowed: str
    """What it must be; empty: there is nothing to choose from."""
    why: str
    """A sentence without its capital and full stop."""
    mend: str
    loses: bool = True
    """It would lose data or stop the stream sooner or later: no worker may run. False: it is unwise."""
    setting: tuple[str, str] | None = None
    """Name and value that mend it, where a setting of a topic of ours does."""

    def __str__(self) -> str:
        if self.allowed:
            return f"{self.topic} {self.wrong}; it must be {self.allowed}, because {self.why}. {self.mend}"
        end = "" if self.wrong.endswith("?") else "."
        return f"{self.topic} {self.wrong}{end} {self.why[0].upper()}{self.why[1:]}. {self.mend}"


def raise_if_unusable(faults: Iterable[Fault]) -> None:
    """Raises TopicsUnusable with every fault that no worker may run with, one a line."""
    if texts := [str(each) for each in faults if each.loses]:
        raise TopicsUnusable("\n".join(texts))
