"""Logs of records made from a seed, and the definitions they are evaluated with."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from random import Random

from agents.kafka.placement import partition_of

START_MS = 1_704_067_200_000
"""2024-01-01: every window below has closed long before now, so all exits by time lie in the past."""
MINUTE_MS = 60_000
DAY_MS = 86_400_000
AHEAD_MS = (int(time.time() * 1000) // DAY_MS + 30) * DAY_MS
"""For logs that are written bit by bit: clocks of idle partitions follow the wall, and never come so far."""
TAKES_AHEAD = {"clock__max_lead_ms": 60 * DAY_MS}
"""For workers on such a log."""

DEFINITIONS = """
audiences:
  - {id: viewers, name: Viewers, rule: {event: view, within: 5m}}
  - {id: eager, name: Eager, rule: {event: view, count: {gte: 3}, within: 10m}}
  - {id: spenders, name: Spenders, rule: {event: buy, sum: {property: price, gte: 30}, within: 30m}}
  - {id: curious, name: Curious, rule: {event: view, distinct: {property: sku, gte: 3}, within: 20m}}
  - {id: quiet, name: Quiet, rule: {not: {event: "*", within: 15m}}}
  - {id: never_bought, name: Never bought, rule: {event: buy, count: {eq: 0}}}
  - id: abandoners
    name: Abandoners
    rule:
      all:
        - {event: cart, where: {price: {gte: 10}}, within: 1h}
        - not: {event: buy, within: 1h}
  - id: gold
    name: Gold
    rule: {all: [{attribute: plan, eq: gold}, {event: view, within: 2h}]}
  - id: any_way
    name: Any way
    rule: {any: [{event: rate, count: {gte: 2}, within: 8m}, {attribute: vip, eq: true}]}
  - {id: loyal, name: Loyal, rule: {event: buy, count: {gte: 3}}}
"""

BAD = [
    b"not json",
    b'{"user_id": 7}',
    b'{"event": "view"}',
    b"\xff\xfe",
    b'{"user_id": "u1", "event": "view", "time": "yesterday"}',
    None,
]


@dataclass(frozen=True)
class Line:
    """A record as the producer gives it."""

    timestamp: int
    key: bytes | None
    value: bytes | None


def view(user_id: str, timestamp_ms: int) -> Line:
    return Line(timestamp_ms, user_id.encode(), json.dumps({"user_id": user_id, "event": "view"}).encode())


@dataclass
class Log:
    """Records per partition, in order."""

    parts: list[list[Line]]
    users: list[str]
    bad: int = 0
    at_ms: int = field(default=START_MS)

    @property
    def size(self) -> int:
        return sum(len(part) for part in self.parts)

    def portions(self, count: int) -> list[Log]:
        """The log (from AHEAD_MS) in pieces: a worker comes to the end of a whole log before a kill."""
        pieces = []
        for number in range(count):
            cuts = [(len(part) * number // count, len(part) * (number + 1) // count) for part in self.parts]
            parts = [part[start:end] for part, (start, end) in zip(self.parts, cuts, strict=True)]
            pieces.append(Log(parts, self.users))
        return pieces


def make_log(
    seed: int,
    records: int,
    users: int,
    partitions: int = 4,
    minutes: int = 120,
    bad: float = 0.002,
    start_ms: int = START_MS,
) -> Log:
    """Records of ``minutes``: late ones, stamps that go back, ids used twice, bad ones."""
    random = Random(seed)
    names = [f"user-{number}" for number in range(users)]
    log = Log([[] for _ in range(partitions)], names)
    step_ms = minutes * MINUTE_MS / records
    at = float(start_ms)
    for number in range(records):
        at += random.expovariate(1) * step_ms
        # A few users do much, many do little.
        name = names[int(users * random.random() ** 3)]
        if random.random() < bad:
            line = Line(int(at), name.encode(), random.choice(BAD))
            log.bad += 1
        else:
            stamp = int(at) - random.choice([0, 0, 0, 0, 5, 3_000, 200_000])
            line = Line(stamp, name.encode(), json.dumps(_body(random, name, number, stamp)).encode())
        log.parts[partition_of(name, partitions)].append(line)
    log.at_ms = int(at)
    return log


def _body(random: Random, name: str, number: int, stamp: int) -> dict[str, object]:
    kind = random.random()
    if kind < 0.08:
        update = random.choice(
            [
                {"set": {"plan": random.choice(["gold", "free"])}},
                {"set": {"vip": random.random() < 0.3}},
                {"unset": ["vip"]},
                {"add": {"visits": 1}},
            ]
        )
        return {"type": "profile", "user_id": name, "id": f"r{number}", **update}
    event = "view" if kind < 0.6 else "cart" if kind < 0.75 else "buy" if kind < 0.88 else "rate"
    properties: dict[str, object] = {"sku": f"s{random.randrange(6)}"}
    if event in ("buy", "cart"):
        properties["price"] = random.choice([5, 9.99, 10, 12.5, 20.01])
    body: dict[str, object] = {"user_id": name, "event": event, "id": f"r{number}", "properties": properties}
    if random.random() < 0.2:
        body["time"] = stamp - random.choice([1, 500, 60_000, 7 * MINUTE_MS])
    return body
