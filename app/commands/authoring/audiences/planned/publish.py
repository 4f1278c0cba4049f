"""Carrying a plan out: what was shown is what is done, all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents.registry.audiences import record_key
from app.commands.authoring.audiences.planned.plan import AudienceId, Plan
from app.failures import CommandFailed
from app.publish.author import shell_author
from app.publish.lifecycle import connected_lifecycle
from app.publish.refused import VersionMoved
from app.settings.tree import Settings
from rules.parse.audience import ParsedAudience


async def publish_plan(
    settings: Settings, wanted: Sequence[ParsedAudience], shown: Plan
) -> Mapping[AudienceId, int]:
    """Do what was shown; the versions that came of it.

    Raises CommandFailed where somebody published in the meantime, so that it would be something else, and
    when no broker answers; what ``Lifecycle.apply`` raises.
    """
    expected = {
        record_key(each.audience): [0 if each.before is None or each.before.deleted else each.before.version]
        for each in shown.changes
    }
    gone = [each.id for each in shown.of("delete")]
    async with connected_lifecycle(settings) as lifecycle:
        try:
            changes = await lifecycle.apply(shell_author(), wanted, gone, expected=expected)
        except VersionMoved as moved:
            raise CommandFailed(
                f"nothing was published: {moved.text}. Run it again, and look at the new plan"
            ) from None
    return {(each.audience.project, each.audience.id): each.version for each in changes}
