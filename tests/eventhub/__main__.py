"""The stand-in as a process: `python -m tests.eventhub`; the first line it prints is its port.

On SIGTERM it writes what it stored, one event a line: hub partition, milliseconds since 1970, message id.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from tests.eventhub.peer import Peer
from tests.eventhub.store import Hub


async def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.eventhub", description="A local stand-in for an event hub."
    )
    parser.add_argument("--hub", default="audiences")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path, help="where to write what was stored")
    given = parser.parse_args()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with Peer(hub=Hub(given.hub, given.partitions), port=given.port) as peer:
        print(peer.port, flush=True)
        print(peer.connection_string, flush=True)
        await stopping.wait()
        if given.record is not None:
            with given.record.open("w", encoding="utf-8") as file:
                for number, partition in enumerate(peer.hub.partitions):
                    file.writelines(
                        f"{number}\t{stored.enqueued_ms}\t{stored.event().id}\n" for stored in partition
                    )


asyncio.run(main())
