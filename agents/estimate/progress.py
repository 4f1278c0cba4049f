"""What an estimate tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

Stage: TypeAlias = Literal["read", "evaluate"]


class Progress(msgspec.Struct, frozen=True):
    """How far a stage is. ``read``: records of the log; ``evaluate``: users of the sample."""

    stage: Stage
    done: int
    total: int


Told: TypeAlias = Callable[[Progress], None]


def untold(progress: Progress) -> None:
    """For those who wait for the answer alone."""
