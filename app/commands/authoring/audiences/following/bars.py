"""Where progress is shown: a bar for each audience on a terminal, otherwise a line now and then."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Protocol, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from agents.backfill.progress.progress import VersionState
from app.commands.authoring.audiences.following.progress_text import Awaited, state_text
from app.shown_bytes import safe

LINE_SECONDS: Final = 10.0
"""After so long a line says again how far a version is that is still in the same state."""
MOST_BARS: Final = 20
"""Of the versions that aren't ready; more would not fit on a screen."""


class Screen(Protocol):
    """Entered before the first states, left after the last. All of it goes to standard error."""

    def show(self, states: Mapping[Awaited, VersionState]) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def screen() -> Screen:
    """The one for what standard error is."""
    console = Console(stderr=True, highlight=False, emoji=False, markup=False)
    return Bars(console) if console.is_terminal and not console.is_dumb_terminal else Lines()


class Bars:
    """A bar for each version that isn't ready."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[told]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console,
            refresh_per_second=5,
        )
        self._bars: dict[Awaited, TaskID] = {}

    def show(self, states: Mapping[Awaited, VersionState]) -> None:
        shown = 0
        for awaited, state in states.items():
            if awaited not in self._bars:
                self._bars[awaited] = self._progress.add_task(safe(str(awaited)), total=1.0, told="")
            shown += not state.is_ready
            self._progress.update(
                self._bars[awaited],
                completed=state.progress,
                told=safe(state_text(state)),
                visible=shown <= MOST_BARS if not state.is_ready else len(states) <= MOST_BARS,
            )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self) -> None:
        self._told: dict[Awaited, tuple[str, float]] = {}

    def show(self, states: Mapping[Awaited, VersionState]) -> None:
        now = time.monotonic()
        for awaited, state in states.items():
            before, at = self._told.get(awaited, ("", 0.0))
            if state.state != before or (not state.is_ready and now - at >= LINE_SECONDS):
                self._told[awaited] = state.state, now
                typer.echo(safe(f"{awaited}: {state_text(state)}"), err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
