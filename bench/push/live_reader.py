"""A process that reads transitions until it is asked to end: when each event was due, and how long it took.

``BOOTSTRAP TOPIC PARTITIONS RESULT``; the result has nanoseconds of the monotonic clock, and milliseconds.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import msgspec
from aiokafka import TopicPartition

from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from bench.processes import write_result
from bench.worker.reader import Seen

READING, SEEN = "reading", "seen"
"""What it says: it reads from here on; it has read a transition."""


async def run(bootstrap: str, topic: str, partitions: int, result: str) -> None:
    decode = msgspec.json.Decoder(Seen).decode
    due_ns: list[int] = []
    ages_ms: list[float] = []
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with new_consumer(Broker(bootstrap)) as consumer:
        tps = [TopicPartition(topic, each) for each in range(partitions)]
        consumer.assign(tps)
        await consumer.seek_to_end(*tps)
        await asyncio.gather(*(consumer.position(tp) for tp in tps))
        print(READING, flush=True)
        while not stopping.is_set():
            polled = await consumer.getmany(timeout_ms=200)
            now_ns = time.monotonic_ns()
            for records in polled.values():
                for record in records:
                    seen = decode(record.value)
                    if seen.audience == "switched" and seen.trigger is not None:
                        if not due_ns:
                            print(SEEN, flush=True)
                        due_ns.append(int(seen.trigger.id.partition("-")[0]))
                        ages_ms.append((now_ns - due_ns[-1]) / 1e6)
    write_result(result, {"due_ns": due_ns, "ages_ms": ages_ms})


if __name__ == "__main__":
    _bootstrap, _topic, _partitions, _result = sys.argv[1:]
    asyncio.run(run(_bootstrap, _topic, int(_partitions), _result))
