"""Topics of our own cluster that no destination writes to: what the service reads, and what it keeps there.

The author of a destination would otherwise write API keys, definitions, rows or events with the rights
of the delivery worker.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from agents.topics.plan import Role, TopicPlan


@dataclass(frozen=True, slots=True)
class OwnTopics:
    """``writable``: the source topics that destinations may write to all the same."""

    plan: TopicPlan
    writable: Collection[str] = ()

    def why_not(self, topic: str) -> str | None:
        """Why no destination writes to a topic of our own cluster; None: one may."""
        role = self.plan.role_of(topic)
        if role is None or (role is Role.SOURCE and topic in self.writable):
            return None
        if role is Role.SOURCE:
            return (
                f"the workers read the topic {topic}, so transitions would come back as events: "
                "deliver.writable_sources would allow it"
            )
        return f"the topic {topic} is one of Turnstile's own ({role})"
