"""A batch of a webhook in parts, where the address or the headers aren't the same for all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import Outcome, Rejected, Retry, Unknown
from agents.deliver.errors import Unsendable
from agents.sinks.webhook.requests import Head, RequestMaker


class Parts:
    """A batch in parts that go to one address with the same headers, in an order in which each user's
    deliveries stay in theirs. Those that can't be sent at all are refused, each by itself.
    """

    def __init__(self, maker: RequestMaker, batch: Sequence[Delivery]) -> None:
        self._batch = batch
        self._outcomes: dict[int, Outcome] = {}
        self._failed: dict[str, Retry | Unknown] = {}
        self._stopped: Retry | None = None
        self._parts: list[tuple[Head, list[Delivery], list[bytes]]] = []
        open_parts: dict[Head, int] = {}
        last: dict[str, int] = {}
        for delivery in batch:
            try:
                head, body = maker.head(delivery), maker.body(delivery)
            except Unsendable as error:
                self._outcomes[id(delivery)] = Rejected(error.code, error.reason)
                continue
            at = open_parts.get(head, -1)
            if at < last.get(delivery.user_id, 0):
                at = open_parts[head] = len(self._parts)
                self._parts.append((head, [], []))
            last[delivery.user_id] = at
            self._parts[at][1].append(delivery)
            self._parts[at][2].append(body)

    def __iter__(self) -> Iterator[tuple[Head, list[Delivery], list[bytes]]]:
        """What is to be sent next, without users whose earlier message wasn't taken."""
        for head, deliveries, bodies in self._parts:
            going = [each.user_id not in self._failed for each in deliveries]
            if any(going) and not self._stopped:
                yield head, list(compress(deliveries, going)), list(compress(bodies, going))

    def sent(self, together: Sequence[Delivery], outcome: Outcome) -> None:
        self._outcomes.update((id(each), outcome) for each in together)
        if isinstance(outcome, Retry | Unknown):
            self._failed.update((each.user_id, outcome) for each in together)
            if outcome.whole:
                reason = f"not sent, after {outcome.reason}"
                self.stop(Retry(outcome.code, reason, outcome.retry_after_s, whole=True))

    def stop(self, outcome: Retry) -> None:
        """Nothing more is sent: ``outcome`` is that of the rest."""
        self._stopped = outcome

    def outcomes(self) -> list[Outcome]:
        """Of each delivery of the batch, in its order."""
        rest = self._stopped or Retry("behind", "an earlier message of this user waits")
        return [self._outcomes.get(id(each), rest) for each in self._batch]
