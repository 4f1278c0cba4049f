"""What a worker's Faust app asks and tells the worker. The app gets it when it is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka.structs import TopicPartition
from faust.types import TP

from agents.faust.batch import Batch
from agents.kafka.broker import IsolationLevel
from agents.kafka.lost_records import Lost
from agents.kafka.raw.hooks import RawFetches

RestoreHook = Callable[[Mapping[int, Sequence[TP]], Callable[[], bool]], Awaitable[None]]
"""Gets the table's partitions to bring up to date, each with the source partitions whose records it takes,
and a function that says whether they are still ours: not so as soon as the next rebalance begins."""
TakeHook = Callable[[Batch, Callable[[], object]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Hooks:
    """The worker's side of its Faust app."""

    take: TakeHook
    """Gets every batch, and what to call when all of it is durable."""
    restore: RestoreHook
    hand_over: Callable[[], Awaitable[None]]
    """Called when partitions are revoked, after the batches in hand are acknowledged."""
    rebalancing_began: Callable[[], None]
    """Called as soon as a rebalance begins."""
    lost: Lost = lambda tp, first, there: None
    """Called when records of a source were gone before they were read."""
    taken: Callable[[TopicPartition], int] = lambda tp: 0
    """The offset after the last record of a source that is in the state; 0: there is none."""
    refused: Callable[[BaseException], bool] = lambda error: False
    """Told why restoring failed; whether that is no crash but an end for a reason that is told otherwise."""
    raw: RawFetches | None = None
    """Which records stay in the bytes of their fetch; None: none do."""


class Hooked(Protocol):
    """The app, as the parts of the transport see it."""

    @property
    def hooks(self) -> Hooks: ...
    @property
    def isolation_level(self) -> IsolationLevel: ...
