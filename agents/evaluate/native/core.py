"""The extension ``turnstile_core`` (``core/``), where it is built: the only place that imports it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from turnstile_core import Asked, Fetched, Partition, RowUnreadable, Rules, UnknownRule, UnusualFetch

Stamp: TypeAlias = Callable[[bytes, int, int, int, bool], bytes]
"""(batch, producer id, epoch, sequence, whether it is part of a transaction): the batch with these."""
LookAtStored: TypeAlias = "Callable[[Rules, Asked, Sequence[str], Sequence[bytes | None]], list[bytes]]"
"""(rules, what is asked, user ids, their rows as the store has them): the answers in JSON."""
BUILD: Final = "make core"
"""The command that builds it."""
INTERFACE: Final = 6
"""Number of what ``core/turnstile_core.pyi`` says, as ``core/src/python`` has it. It rises with each change:
then a core from before the change is not used."""


class CoreMissing(Exception):
    """The native core can't be used here; the text says why, and how to build it."""


@dataclass(frozen=True, slots=True)
class Core:
    """The classes of the extension."""

    Rules: type[Rules]
    Fetched: type[Fetched]
    Partition: type[Partition]
    Asked: type[Asked] | None
    """None: lookups are answered in Python."""
    look_at_stored: LookAtStored | None
    """Likewise."""
    UnknownRule: type[UnknownRule]
    RowUnreadable: type[RowUnreadable]
    UnusualFetch: type[UnusualFetch]
    partitions_of: Callable[[Sequence[str], int], list[int]]
    """The partition of each user id, of so many."""
    stamp: Stamp | None
    """None: batches are made in Python."""


@cache
def native_core() -> Core:
    """The extension. Raises CoreMissing."""
    # Its allocator reads this when it is loaded: rows in large pages cost fewer page faults (Linux).
    os.environ.setdefault("MIMALLOC_ALLOW_THP", "2")
    try:
        import turnstile_core
    except ModuleNotFoundError:
        raise CoreMissing(f"the native core isn't built; {BUILD} builds it where cargo is") from None
    except ImportError as error:
        raise CoreMissing(f"the native core can't be loaded ({error}); {BUILD} builds it again") from error
    built = getattr(turnstile_core, "INTERFACE", 0)
    if built != INTERFACE:
        raise CoreMissing(
            f"the native core is another version's (interface {built}, and {INTERFACE} is wanted); "
            f"{BUILD} builds it again"
        )
    return Core(
        turnstile_core.Rules,
        turnstile_core.Fetched,
        turnstile_core.Partition,
        turnstile_core.Asked,
        turnstile_core.look_at_stored,
        turnstile_core.UnknownRule,
        turnstile_core.RowUnreadable,
        turnstile_core.UnusualFetch,
        turnstile_core.partitions_of,
        turnstile_core.stamp,
    )


def describe_core() -> str:
    """For people who measure: whether there is a core, and whether it was built to be fast."""
    try:
        native_core()
    except CoreMissing as missing:
        return str(missing)
    import turnstile_core

    return (
        "built" if getattr(turnstile_core, "IS_OPTIMIZED", False) else f"a slow build; {BUILD} makes it fast"
    )
