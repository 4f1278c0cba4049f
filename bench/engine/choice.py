"""Which engines a benchmark of the pure pipeline measures."""

from __future__ import annotations

from collections.abc import Callable

from agents.evaluate.native.core import CoreMissing
from agents.evaluate.native.engine import Engine, Name, Wanted
from bench.processes import BenchFailed


def engines_here(wanted: Wanted | None, say: Callable[[str], None]) -> list[Name]:
    """The wanted one; None: both, and without the native one where it isn't built. Raises BenchFailed."""
    try:
        if wanted is not None:
            return [Engine(wanted).name]
        Engine("native")
    except CoreMissing as missing:
        if wanted is not None:
            raise BenchFailed(str(missing)) from None
        say(f"without the native engine: {missing}")
        return ["python"]
    return ["python", "native"]
