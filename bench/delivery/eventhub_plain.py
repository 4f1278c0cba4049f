"""The bare loop beside which Event Hub delivery is measured: the SDK, the same bodies and ids, nothing else.

Arguments: connection string of the stand-in, number of transitions, size of a batch, file for the result.
"""

from __future__ import annotations

import asyncio
import resource
import sys

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

from agents.deliver.contract.sink import lane_of
from bench.processes import write_result


async def main(connection: str, count: int, most: int, result: str) -> None:
    """Send ``count`` transitions, each user to one partition, one batch of ``most`` outstanding in each."""
    from bench.delivery.measure import bodies

    async with EventHubProducerClient.from_connection_string(connection) as client:
        partitions = await client.get_partition_ids()
        lanes: list[list[bytes]] = [[] for _ in partitions]
        for user, body in bodies(count):
            lanes[lane_of(user.decode(), len(partitions))].append(body)

        async def send(partition: str, waiting: list[bytes]) -> None:
            for at in range(0, len(waiting), most):
                batch = await client.create_batch(partition_id=partition)
                for body in waiting[at : at + most]:
                    event = EventData(body)
                    event.message_id = body[7:39].decode()
                    event.content_type = "application/json"
                    batch.add(event)
                await client.send_batch(batch)

        before = resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.gather(*(send(each, lane) for each, lane in zip(partitions, lanes, strict=True)))
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    write_result(result, {"cpu_seconds": cpu})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
