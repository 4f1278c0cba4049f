"""A process that fills stores: ``ORDER`` (JSON). Each row of a sampled user is copied for many others.

What a worker left in a store stays as it is; copies have names and emails of their own, and their entries in
the indexes of timers and members.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

import msgspec

from agents.evaluate.native.core import CoreMissing, native_core
from agents.kafka.placement import partition_of
from bench.processes import BenchFailed
from bench.push.people import People, email_of, name_of
from tables.codec import decode_head
from tables.member_index import audiences_in
from tables.row_store import Member, Timer, Write
from tables.store import RocksMemory, RocksStore

AT_ONCE: Final = 100_000
"""Users that are looked at together; each partition's are one write."""
MIB: Final = 1 << 20


class Order(msgspec.Struct):
    """``stores``: paths by the number of their partition; those of one process."""

    rows: int
    members: int
    partitions: int
    stores: dict[int, str]


@dataclass(frozen=True, slots=True)
class Template:
    """The row of a sampled user, around its email."""

    before: bytes
    after: bytes
    timer_ms: int | None
    audiences: tuple[int, ...]


def fill(order: Order) -> None:
    people = People(order.rows, order.members)
    memory = RocksMemory.of(64 * MIB, 256 * MIB)
    stores = {partition: RocksStore(Path(path), memory) for partition, path in order.stores.items()}
    templates = {partition: _templates(store, people) for partition, store in stores.items()}
    for first in range(people.sampled, people.rows, AT_ONCE):
        numbers = range(first, min(people.rows, first + AT_ONCE))
        own: dict[int, list[int]] = {partition: [] for partition in stores}
        at = _partitions_of([name_of(each) for each in numbers], order.partitions)
        for number, partition in zip(numbers, at, strict=True):
            if partition in own:
                own[partition].append(number)
        for partition, some in own.items():
            stores[partition].write(_copies(people, some, *templates[partition]))
    for store in stores.values():
        store.close()


def _copies(
    people: People, numbers: list[int], inside: Iterator[Template], outside: Iterator[Template]
) -> Write:
    rows: list[tuple[bytes, bytes]] = []
    timers: list[Timer] = []
    members: list[Member] = []
    for number in numbers:
        template = next(inside if people.is_member(number) else outside)
        key = name_of(number).encode()
        rows.append((key, template.before + email_of(number).encode() + template.after))
        if template.timer_ms is not None:
            timers.append((template.timer_ms, key))
        members += [(each, key) for each in template.audiences]
    return Write(rows, timers_added=timers, members_added=members)


def _templates(store: RocksStore, people: People) -> tuple[Iterator[Template], Iterator[Template]]:
    """Of members and of others, again and again. Raises BenchFailed."""
    found: dict[bool, list[Template]] = {True: [], False: []}
    for key, value in store.scan(b"", people.sampled):
        number = int(key[1:])
        before, email, after = value.partition(email_of(number).encode())
        if not email:
            raise BenchFailed("a sampled user's row doesn't hold the email")
        head = decode_head(value)
        template = Template(before, after, head.timer_ms, audiences_in(head.audiences))
        found[people.is_member(number)].append(template)
    if not all(found.values()):
        raise BenchFailed("a partition has no sampled member, or nobody else: give more --rows")
    return cycle(found[True]), cycle(found[False])


def _partitions_of(names: list[str], partitions: int) -> list[int]:
    try:
        return native_core().partitions_of(names, partitions)
    except CoreMissing:
        return [partition_of(each, partitions) for each in names]


if __name__ == "__main__":
    fill(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order))
