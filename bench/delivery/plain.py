"""The plain aiohttp client beside which webhook delivery is measured: the same bodies, nothing else done.

Arguments: URL, number of requests, concurrency, file for the result.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Iterator

import aiohttp

from bench.processes import write_result


async def main(url: str, count: int, concurrency: int, result: str) -> None:
    """Post ``count`` bodies with ``concurrency`` requests at a time."""
    from bench.delivery.measure import bodies

    work: Iterator[bytes] = iter([value for _, value in bodies(count)])
    headers = {"content-type": "application/json"}
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def post() -> None:
            for body in work:
                async with session.post(url, data=body, headers=headers) as answer:
                    await answer.read()
                    assert answer.status == 204

        before = resource.getrusage(resource.RUSAGE_SELF)
        started = time.monotonic()
        await asyncio.gather(*(post() for _ in range(concurrency)))
        seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    write_result(result, {"seconds": seconds, "cpu_seconds": cpu})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
