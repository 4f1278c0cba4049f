"""Faults to order: each order is for the next so many sends, put-tokens or attaches, as they come."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class Fault(Enum):
    """What goes wrong. The first group meets sends, the second put-tokens, the third attaches."""

    DROP_BEFORE_COMMIT = "connection dropped, nothing stored"
    DROP_AFTER_COMMIT = "stored, then the connection dropped before the ack"
    SERVER_BUSY = "rejected with com.microsoft:server-busy"
    DETACH = "link detached with amqp:link:detach-forced, nothing stored"
    NEVER_ACKED = "stored, never acknowledged"
    SLOW = "stored, acknowledged after a delay"
    QUOTA = "rejected with amqp:resource-limit-exceeded"

    AUTH_REFUSED = "put-token answered with 401"
    AUTH_SILENT = "put-token never answered"

    HUB_MISSING = "attach refused with amqp:not-found"
    ATTACH_REFUSED = "attach refused with amqp:unauthorized-access"


SEND = (
    Fault.DROP_BEFORE_COMMIT,
    Fault.DROP_AFTER_COMMIT,
    Fault.SERVER_BUSY,
    Fault.DETACH,
    Fault.NEVER_ACKED,
    Fault.SLOW,
    Fault.QUOTA,
)
AUTH = (Fault.AUTH_REFUSED, Fault.AUTH_SILENT)
ATTACH = (Fault.HUB_MISSING, Fault.ATTACH_REFUSED)


@dataclass(slots=True)
class _Order:
    fault: Fault | None
    times: int
    partition: int | None


@dataclass(slots=True)
class Faults:
    """`slow_s` is the delay of SLOW. `happened` counts what was done."""

    slow_s: float = 0.5
    happened: Counter[Fault] = field(default_factory=Counter)
    _orders: dict[tuple[Fault, ...], deque[_Order]] = field(
        default_factory=lambda: {SEND: deque(), AUTH: deque(), ATTACH: deque()}
    )
    _for_good: set[Fault] = field(default_factory=set)

    def order(self, fault: Fault, times: int = 1, partition: int | None = None, after: int = 0) -> None:
        """Let `after` go well, then `fault` for the next `times`; only for one hub partition where given."""
        queue = self._orders[_kind(fault)]
        if after:
            queue.append(_Order(None, after, partition))
        queue.append(_Order(fault, times, partition))

    def for_good(self, fault: Fault) -> None:
        """From now on always, until `heal`."""
        self._for_good.add(fault)

    def heal(self) -> None:
        """No more faults, ordered or for good."""
        self._for_good.clear()
        for queue in self._orders.values():
            queue.clear()

    def scatter(self, faults: Sequence[Fault], sends: int, seed: int) -> None:
        """Spread `faults` at random over the next `sends` sends, put-tokens or attaches."""
        for kind, queue in self._orders.items():
            mine: list[Fault | None] = [fault for fault in faults if _kind(fault) is kind]
            mine += [None] * (sends - len(mine) if mine else 0)
            random.Random(seed).shuffle(mine)
            queue.extend(_Order(fault, 1, None) for fault in mine)

    def on_send(self, partition: int | None) -> Fault | None:
        return self._next(SEND, partition)

    def on_put_token(self) -> Fault | None:
        return self._next(AUTH, None)

    def on_attach(self, partition: int | None) -> Fault | None:
        return self._next(ATTACH, partition)

    def left(self) -> int:
        """Ordered faults that have not happened yet."""
        return sum(order.times for queue in self._orders.values() for order in queue if order.fault)

    def _next(self, kind: tuple[Fault, ...], partition: int | None) -> Fault | None:
        fault = next((each for each in kind if each in self._for_good), None)
        if fault is None:
            queue = self._orders[kind]
            for at, order in enumerate(queue):
                if order.partition in (None, partition):
                    fault = order.fault
                    order.times -= 1
                    if not order.times:
                        del queue[at]
                    break
        if fault is not None:
            self.happened[fault] += 1
        return fault


def _kind(fault: Fault) -> tuple[Fault, ...]:
    return next(kind for kind in (SEND, AUTH, ATTACH) if fault in kind)
