"""Faults to order: each order is for the next so many sends, put-tokens or attaches, as they come."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class HubFault(Enum):
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
    HubFault.DROP_BEFORE_COMMIT,
    HubFault.DROP_AFTER_COMMIT,
    HubFault.SERVER_BUSY,
    HubFault.DETACH,
    HubFault.NEVER_ACKED,
    HubFault.SLOW,
    HubFault.QUOTA,
)
AUTH = (HubFault.AUTH_REFUSED, HubFault.AUTH_SILENT)
ATTACH = (HubFault.HUB_MISSING, HubFault.ATTACH_REFUSED)


@dataclass(slots=True)
class _Order:
    fault: HubFault | None
    times: int
    partition: int | None


@dataclass(slots=True)
class Faults:
    """`slow_s` is the delay of SLOW. `happened` counts what was done."""

    slow_s: float = 0.5
    happened: Counter[HubFault] = field(default_factory=Counter)
    _orders: dict[tuple[HubFault, ...], deque[_Order]] = field(
        default_factory=lambda: {SEND: deque(), AUTH: deque(), ATTACH: deque()}
    )
    _for_good: set[HubFault] = field(default_factory=set)

    def order(self, fault: HubFault, times: int = 1, partition: int | None = None, after: int = 0) -> None:
        """Let `after` go well, then `fault` for the next `times`; only for one hub partition where given."""
        queue = self._orders[_kind(fault)]
        if after:
            queue.append(_Order(None, after, partition))
        queue.append(_Order(fault, times, partition))

    def for_good(self, fault: HubFault) -> None:
        """From now on always, until `heal`."""
        self._for_good.add(fault)

    def heal(self) -> None:
        """No more faults, ordered or for good."""
        self._for_good.clear()
        for queue in self._orders.values():
            queue.clear()

    def scatter(self, faults: Sequence[HubFault], sends: int, seed: int) -> None:
        """Spread `faults` at random over the next `sends` sends, put-tokens or attaches."""
        for kind, queue in self._orders.items():
            mine: list[HubFault | None] = [fault for fault in faults if _kind(fault) is kind]
            mine += [None] * (sends - len(mine) if mine else 0)
            random.Random(seed).shuffle(mine)
            queue.extend(_Order(fault, 1, None) for fault in mine)

    def on_send(self, partition: int | None) -> HubFault | None:
        return self._next(SEND, partition)

    def on_put_token(self) -> HubFault | None:
        return self._next(AUTH, None)

    def on_attach(self, partition: int | None) -> HubFault | None:
        return self._next(ATTACH, partition)

    def left(self) -> int:
        """Ordered faults that have not happened yet."""
        return sum(order.times for queue in self._orders.values() for order in queue if order.fault)

    def _next(self, kind: tuple[HubFault, ...], partition: int | None) -> HubFault | None:
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


def _kind(fault: HubFault) -> tuple[HubFault, ...]:
    return next(kind for kind in (SEND, AUTH, ATTACH) if fault in kind)
