"""How many audiences a project may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents.registry.audiences import AudienceChange
from app.publish.refused import QuotaUsedUp
from rules.compile.audience import PublishedAudience


def check_quota(
    published: Mapping[bytes, PublishedAudience], changes: Sequence[AudienceChange], allowed: int | None
) -> None:
    """Raises QuotaUsedUp where a project would have more audiences than before, and more than it may have."""
    for project in dict.fromkeys(each.audience.project for each in changes):
        before = {
            each.audience.id
            for each in published.values()
            if each.audience.project == project and not each.deleted
        }
        after = set(before)
        for each in changes:
            if each.audience.project == project and each.action == "deleted":
                after.discard(each.audience.id)
            elif each.audience.project == project:
                after.add(each.audience.id)
        if allowed is not None and len(after) > max(allowed, len(before)):
            used = f"project {project!r} has {len(before)} audiences of {allowed} that it may have"
            hint = "delete some, or have audiences.max_per_project raised"
            raise QuotaUsedUp(f"{used}, and would have {len(after)}", hint)
