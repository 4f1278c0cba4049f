"""Records on our own topics that can't be used. Others may write there, too: such a record stops nothing.

Who reads one of our topics takes what can be used and tells the rest: a worker or a delivery worker as a
warning (``agents.warnings``), a command on standard error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

KEY_CHARACTERS = 200

Read = TypeVar("Read")


class Unusable(Exception):
    """A record can't be used. The text says why, for people."""


@dataclass(frozen=True, slots=True)
class UnusableRecord:
    """Where such a record lies and why it can't be used."""

    topic: str
    offset: int
    key: bytes | None
    reason: str

    def __str__(self) -> str:
        return f"{self.topic}, offset {self.offset}, key {shown_key(self.key)}: {self.reason}"


def usable(read: Callable[[], Read]) -> Read:
    """What ``read`` makes of a record. Raises Unusable, whatever ``read`` raises.

    ``read`` is a function of the record alone. So the record is the cause of all that it raises, and no bug
    hides here that would lose data: the record stays where it is.
    """
    try:
        return read()
    except Unusable:
        raise
    except RecursionError:
        raise Unusable("it is nested too deep") from None
    except Exception as error:
        raise Unusable(str(error) or type(error).__name__) from error


def shown_key(key: bytes | None) -> str:
    """For people: as text where it is some, and never with control characters."""
    if key is None:
        return "none"
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return repr(key[:KEY_CHARACTERS])
    return repr(text[:KEY_CHARACTERS])
