"""How far an import is: a bar on a terminal, otherwise a line now and then. All of it on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from app.imports.importer import BYTES, Progress
from app.settings.values import format_size

LINE_SECONDS: Final = 10.0


@contextmanager
def screen() -> Iterator[tuple[Progress, Console]]:
    """The one for what standard error is, and the console on which lines may be written beside it."""
    console = Console(stderr=True, highlight=False, emoji=False, markup=False, soft_wrap=True)
    bar = Bar(console) if console.is_terminal and not console.is_dumb_terminal else Lines()
    try:
        yield bar, console
    finally:
        bar.close()


class Bar:
    """A bar for the phase that is under way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None

    def begin(self, phase: str, total: int, unit: str) -> None:
        self.close()
        amount = DownloadColumn(binary_units=True) if unit == BYTES else MofNCompleteColumn()
        columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn(compact=True))
        self._bars = Bars(*columns, console=self._console, refresh_per_second=5)
        self._task = self._bars.add_task(phase, total=total or None)
        self._bars.start()

    def add(self, steps: int) -> None:
        if self._bars is not None:
            self._bars.advance(self._task, steps)

    def end(self) -> None:
        self.close()

    def close(self) -> None:
        bars, self._bars = self._bars, None
        if bars is not None:
            bars.stop()


class Lines:
    """A line when a phase takes long, and again every ten seconds."""

    def __init__(self) -> None:
        self._phase, self._total, self._done, self._unit = "", 0, 0, ""
        self._told = 0.0

    def begin(self, phase: str, total: int, unit: str) -> None:
        self._phase, self._total, self._done, self._unit = phase, total, 0, unit
        self._told = time.monotonic()

    def add(self, steps: int) -> None:
        self._done += steps
        if time.monotonic() - self._told >= LINE_SECONDS:
            self._told = time.monotonic()
            print(f"{self._phase}: {self._text()}", file=sys.stderr, flush=True)

    def end(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _text(self) -> str:
        if self._unit == BYTES:
            return f"{_rounded(self._done)} of {_rounded(self._total)}"
        return f"{self._done:,} of {self._total:,} {self._unit}"


def _rounded(number_bytes: int) -> str:
    """In whole MiB, or what is smaller."""
    mib = 1024 * 1024
    return format_size(number_bytes // mib * mib if number_bytes >= mib else number_bytes)
