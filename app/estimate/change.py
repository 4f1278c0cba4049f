"""What an edit of published audiences would do, for the plan of ``turnstile audiences apply``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from agents.estimate.change import ChangeEstimate, ChangeFigures
from agents.estimate.figures import AudienceName
from agents.estimate.kafka_log import open_log
from agents.estimate.progress import Told, untold
from agents.estimate.sampling import Effort, draw
from app.estimate.question import with_references
from app.estimate.run import clock_of
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.settings.limits import limits_of
from app.settings.tree import Settings
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.model.computation import same_computation
from rules.model.language import references


async def estimate_change(
    settings: Settings,
    old: Collection[PublishedAudience],
    new: Collection[PublishedAudience],
    *,
    error: float = 0.05,
    exact: bool = False,
    told: Told = untold,
) -> Sequence[ChangeEstimate]:
    """Who would enter and leave if the audiences ``old`` were replaced by ``new``, as of now.

    Both are whole sets: everything that is published, and everything that would be (deleted ones left out or
    marked). The answer has the audiences whose rules differ, those that ask about such ones, new ones and
    deleted ones, by project and id. ``error`` is a share of the larger one of both sizes; ``exact`` evaluates
    every user. Nothing is published, and no worker is needed: the log is read from its first offset.

    Raises CommandFailed when no broker answers. Cancelling the task ends the work.
    """
    names = changed_audiences(old, new)
    if not names:
        return []
    max_samples = settings.state.max_samples
    before, after = (compile_rules(with_references(names, each), max_samples) for each in (old, new))
    figures = ChangeFigures(before, after, names, error)
    async with connected_admin(settings) as admin:
        log = await open_log(admin, broker_of(settings), plan_of(settings))
        drawn = await draw(log, figures, limits_of(settings), clock_of(settings, "now"), Effort(exact), told)
    return figures.estimates(drawn.sample)


def changed_audiences(
    old: Iterable[PublishedAudience], new: Iterable[PublishedAudience]
) -> list[AudienceName]:
    """Those whose members may differ: changed ones, and those that ask about them, directly or not."""
    before, after = _standing(old), _standing(new)
    changed = {
        name
        for name in before.keys() | after.keys()
        if name not in before
        or name not in after
        or not same_computation(before[name].audience, after[name].audience)
    }
    while True:
        asking = {
            name
            for name, each in after.items()
            if any((name[0], other) in changed for other in references(each.audience.rule))
        }
        if asking <= changed:
            return sorted(changed)
        changed |= asking


def _standing(published: Iterable[PublishedAudience]) -> dict[AudienceName, PublishedAudience]:
    return {(each.audience.project, each.audience.id): each for each in published if not each.deleted}
