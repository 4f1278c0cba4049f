"""Topics of our own cluster that a Kafka destination must not write to, as one destination meets them."""

from __future__ import annotations

from cachetools import LRUCache

from agents.deliver.errors import SinkMisconfigured
from agents.deliver.permissions.own_topics import OwnTopics

REMEMBERED = 1_000
"""Topics of which the answer is kept: a definition may name a topic per audience."""


class RefusedTopics:
    """Asked for each record. ``template``: the topic's name as the definition has it."""

    def __init__(self, template: str, own: OwnTopics | None) -> None:
        self._template = template
        self._own = own
        """None: it is another cluster than our own."""
        self._reasons: LRUCache[str, str] = LRUCache(REMEMBERED)
        """By topic; empty: it may be written to."""

    def are_those_of(self, own: OwnTopics | None) -> None:
        """What is known now of the cluster. Raises SinkMisconfigured where no record could go anywhere."""
        self._own = own
        self._reasons.clear()
        reason = self.why_not(self._template)
        if reason:
            raise SinkMisconfigured(reason)

    def why_not(self, topic: str) -> str:
        """Why nothing is written to a topic; empty: it may be written to."""
        if self._own is None:
            return ""
        reason = self._reasons.get(topic)
        if reason is None:
            reason = self._reasons[topic] = self._own.why_not(topic) or ""
        return reason
