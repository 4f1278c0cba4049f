"""Where frames go: a live view on a terminal, or a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live

from app.demo.frame import Frame
from app.demo.report import progress_line
from app.demo.view import draw

LINE_SECONDS = 3.0


class Screen(Protocol):
    """Entered before the first frame, left after the last."""

    def show(self, frame: Frame) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LiveScreen:
    """The whole terminal, on its second page: what was on the first is there again afterwards."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def show(self, frame: Frame) -> None:
        size = self._console.size
        self._live.update(draw(frame, size.width, size.height), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


class LineScreen:
    """Plain lines, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def show(self, frame: Frame) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LINE_SECONDS
            self._console.print(progress_line(frame), soft_wrap=True, highlight=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
