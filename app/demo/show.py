"""The course of the demo: start, watch the log go by, sum up, serve on, stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time

from rich.console import Console

from app.demo.frame import FrameSource
from app.demo.options import DemoOptions
from app.demo.purchases import load_purchases
from app.demo.report import DemoResult, print_serving, print_summary
from app.demo.screens import LineScreen, LiveScreen, Screen
from app.demo.stage import PartFailed, Stage
from app.failures import INTERRUPTED, CommandFailed
from app.supervisor import Supervisor

FRAME_SECONDS = 0.3


class Show:
    """One run of the demo."""

    def __init__(self, options: DemoOptions) -> None:
        self._options = options
        self._console = Console(highlight=False, emoji=False)
        is_watched = self._console.is_terminal
        can_draw = is_watched and not self._console.is_dumb_terminal
        self._is_plain = not can_draw if options.plain is None else options.plain
        self._keep = is_watched if options.keep is None else options.keep
        self._life = Supervisor(lambda error: None)
        self._stopping = self._life.stopping
        self._stage: Stage | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._interrupt)
        self._stage = stage = self._load()
        try:
            await self._play(stage)
        except PartFailed as error:
            stage.kill()
            print(error, file=sys.stderr, flush=True)
            os._exit(1)  # Faust has threads and tasks that would hold the process
        finally:
            if not await stage.stop():
                print("the worker did not stop in time", file=sys.stderr, flush=True)
                os._exit(1)

    async def _play(self, stage: Stage) -> None:
        started = time.monotonic()
        await self._life.unless_stopped(stage.start(self._say))
        if self._stopping.is_set():
            return self._say("stopped")
        self._say(f"ready after {time.monotonic() - started:.1f} s: {stage.worker.advertised_url}")
        frames = FrameSource(stage)
        began = time.monotonic()
        stage.play()
        is_complete = await self._watch(stage, frames)
        frame = frames.frame()
        result = DemoResult.of(stage, is_complete, time.monotonic() - began)
        self._console.print()
        print_summary(self._console, frame, result)
        if is_complete and self._keep:
            kafka = stage.settings.kafka.bootstrap
            print_serving(self._console, frame, stage.worker.plan.transitions, kafka)
            while not self._stopping.is_set():
                stage.check()
                await self._pause()
        self._say("stopping")

    async def _watch(self, stage: Stage, frames: FrameSource) -> bool:
        """Show frames until all of the log is evaluated and counted; False: stopped before."""
        screen: Screen = LineScreen(self._console) if self._is_plain else LiveScreen(self._console)
        with screen:
            while not self._stopping.is_set():
                stage.check()
                frame = frames.frame()
                screen.show(frame)
                if frame.lag == 0 and await stage.all_counted():
                    return True
                await self._pause()
        return False

    # -- small things --------------------------------------------------------------------------------

    def _load(self) -> Stage:
        options = self._options
        self._say("reading 18 months of purchases")
        purchases = load_purchases(options.customers, options.until)
        if not purchases:
            raise CommandFailed(f"--until: there is no purchase before {options.until}")
        return Stage(options, purchases)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False)

    async def _pause(self) -> None:
        """Until the next frame, or until it is time to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), FRAME_SECONDS)

    def _interrupt(self) -> None:
        """The first time in order, the second time at once."""
        if self._stopping.is_set():
            if self._stage is not None:
                self._stage.kill()
            os._exit(INTERRUPTED)
        self._life.stop()


async def show(options: DemoOptions) -> None:
    """Run the demo; returns when it is over."""
    await Show(options).run()
