"""Opening a sink, however often it takes."""

from __future__ import annotations

import asyncio
from random import Random

from agents.deliver.contract.sink import Lanes, Sink
from agents.deliver.definitions.destination import RetryPolicy
from agents.deliver.engine.complaints import Complaints
from agents.deliver.engine.retry import pause_s
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable

MISCONFIGURED_PAUSE_SECONDS = 60.0


async def opened(sink: Sink, retry: RetryPolicy, complaints: Complaints, random: Random) -> Lanes:
    """What the sink says once it is open; until then ``complaints`` hears why it isn't."""
    failures = 0
    while True:
        try:
            return await sink.open()
        except SinkMisconfigured as error:
            complaints.unusable("misconfigured", error)
            await asyncio.sleep(MISCONFIGURED_PAUSE_SECONDS)
        except SinkUnavailable as error:
            failures += 1
            complaints.unusable("retrying", error)
            await asyncio.sleep(pause_s(retry, failures, random, error.retry_after_s))
