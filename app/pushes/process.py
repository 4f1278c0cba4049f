"""The process ``turnstile push worker``."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial

from app.failures import INTERRUPTED
from app.pushes.service import PushService
from app.settings.tree import Settings
from app.worker.process import calm_garbage_collector


def _stop_or_end(service: PushService) -> None:
    """The first signal asks for an orderly end, the second doesn't wait for it."""
    if service.stopping.is_set():
        os._exit(INTERRUPTED)
    service.stop()


async def run(settings: Settings) -> None:
    """Carry pushes out until SIGTERM or SIGINT. Raises what it can't go on with."""
    calm_garbage_collector()
    service = PushService(settings)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, partial(_stop_or_end, service))
    await service.run()
