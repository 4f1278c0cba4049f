"""What came out, held against what must come out."""

from __future__ import annotations

from dataclasses import replace

from bench.kafka.clients import read_all
from bench.processes import BenchFailed
from bench.worker.metered import Measured
from bench.workload.events import LogSpec
from bench.workload.expected import Expected, fingerprint


async def checked(
    measured: Measured, bootstrap: str, topic: str, spec: LogSpec, expected: Expected
) -> Measured:
    """Each transition of the pure pipeline is on the topic, once or more, with the same body, and no other.

    Raises BenchFailed.
    """
    found: set[int] = set()
    total = 0
    async for record in read_all(bootstrap, topic, spec.partitions):
        if record.timestamp <= expected.ends_ms[record.partition]:
            total += 1
            found.add(fingerprint(record.key, record.timestamp, record.value))
    digest = 0
    for each in found:
        digest ^= each
    if (len(found), digest) != (expected.by_then, expected.digest):
        raise BenchFailed(
            f"{measured.kind}: {len(found)} transitions, the pure pipeline gives {expected.by_then}"
            + ("" if len(found) != expected.by_then else ", and not the same ones")
        )
    return replace(measured, transitions=len(found), repeated_transitions=total - len(found))
