"""A process that only consumes and decodes: what aiokafka and msgspec allow (``bench throughput``)."""

from __future__ import annotations

import asyncio
import resource
import sys
import time

import msgspec
from aiokafka import TopicPartition

from agents.formats.records import InputRecord
from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from bench.processes import write_result

MAX_RECORDS = 10_000
"""As a worker would: small enough that heartbeats get their turn."""


async def run(bootstrap: str, topic: str, partitions: int, result: str) -> None:
    decode = msgspec.json.Decoder(InputRecord).decode
    records = first_batch = 0
    began = cpu_began = 0.0
    async with new_consumer(Broker(bootstrap)) as consumer:
        tps = [TopicPartition(topic, each) for each in range(partitions)]
        consumer.assign(tps)
        end = sum((await consumer.end_offsets(tps)).values())
        while records < end:
            polled = await consumer.getmany(timeout_ms=1000, max_records=MAX_RECORDS)
            for batch in polled.values():
                for record in batch:
                    decode(record.value)
                records += len(batch)
            if not first_batch and records:
                first_batch, began, cpu_began = records, time.monotonic(), _cpu()
        seconds, cpu_seconds = time.monotonic() - began, _cpu() - cpu_began
    write_result(
        result,
        {
            "records": records,
            "counted": records - first_batch,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        },
    )


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
