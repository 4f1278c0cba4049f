"""The receiver of the webhook benchmark, in a process of its own: takes everything, and counts.

``GET /`` tells ``{requests, ids, seconds}``: requests, different ids, and from the first request to the last;
``DELETE /`` begins again. Arguments: the port.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

from aiohttp import web

_ID = re.compile(rb'"id":"([0-9a-f]{32})"')


class Counting:
    """What came since the last ``DELETE``."""

    def __init__(self) -> None:
        self.requests = 0
        self.ids: set[bytes] = set()
        self.first = self.last = 0.0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            body = await request.read()
            now = time.monotonic()
            self.first = self.first or now
            self.last = now
            self.requests += 1
            found = _ID.search(body)
            if found is not None:
                self.ids.add(found[1])
            return web.Response(status=204)
        if request.method == "DELETE":
            self.__init__()  # type: ignore[misc]
            return web.Response(status=204)
        counted = {
            "requests": self.requests,
            "ids": len(self.ids),
            "seconds": self.last - self.first,
        }
        return web.Response(text=json.dumps(counted), content_type="application/json")


async def main(port: int) -> None:
    """Serve until ended."""
    runner = web.ServerRunner(web.Server(Counting().handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
