"""What a process that tells follows, fed by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

from agents.backfill.progress.progress import (
    Progress,
    ProgressKey,
    ProgressOfVersions,
    State,
    encode_key,
    encode_progress,
)
from agents.kafka.consumed import Consumed
from agents.notices.addresses import NotifyAddress
from agents.registry.audiences import Audiences, audience_record
from app.kafka.configured import parse_published
from rules.compile.audience import PublishedAudience
from rules.parse.definitions import load_definitions

FANS = "{id: fans, name: Fans, rule: {event: view}}"
DAILY = "{id: daily, name: Daily, type: batch, schedule: daily, rule: {event: view}}"
DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS + 7_200_000
"""2024-10-04T02:00:00Z"""


class Fed:
    """Audiences, progress over two partitions, addresses."""

    def __init__(self) -> None:
        self.audiences = Audiences("t", partial(parse_published, max_samples=100))
        self.progress = ProgressOfVersions("p")
        self.addresses: dict[str, NotifyAddress] = {}
        self._offset = 0

    def publish(self, text: str, version: int = 1, created_ms: int = NOW_MS, deleted: bool = False) -> None:
        (audience,) = load_definitions([("a.yaml", text)])
        self.audiences.take(
            self._record(*audience_record(PublishedAudience(audience, version, deleted, created_ms)))
        )

    def tell(
        self, audience: str, version: int, *states: State | None, at_ms: int = NOW_MS, **more: Any
    ) -> None:
        """What the partitions say; None: nothing."""
        for partition, state in enumerate(states):
            if state is not None:
                key = encode_key(ProgressKey("default", audience, version, partition))
                value = encode_progress(Progress(state, at_ms=at_ms, since_ms=at_ms, **more))
                self.progress.take(self._record(key, value))

    def _record(self, key: bytes, value: bytes | None) -> Consumed:
        self._offset += 1
        return Consumed("t", 0, self._offset, 0, key, value, [])
