"""Who would enter and leave if a plan were carried out: estimated from the log, and in words."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from agents.estimate.change import ChangeEstimate
from agents.estimate.interval import Sized
from agents.estimate.progress import Progress
from app.commands.authoring.audiences.planned.plan import AudienceId, Plan
from app.estimate.change import estimate_change
from app.settings.tree import Settings
from rules.compile.audience import PublishedAudience

ESTIMATE_SECONDS: Final = 10.0
"""An estimate that takes longer is left out: nobody waits for it before each publication."""
TELL_SECONDS: Final = 2.0

Effects = Mapping[AudienceId, ChangeEstimate]


class NotEstimated(Exception):
    """The text says why, and what to do."""


async def estimated(
    settings: Settings, published: Collection[PublishedAudience], plan: Plan, *, exact: bool
) -> Effects:
    """By audience, those that only ask about changed ones included.

    Raises NotEstimated where it takes too long; ``exact`` evaluates every user, however long that takes.
    """
    told = _Tell() if exact else None
    before = [each for each in published if not each.deleted]
    try:
        async with asyncio.timeout(None if exact else ESTIMATE_SECONDS):
            found = await estimate_change(
                settings, before, after(published, plan), exact=exact, told=told or (lambda _: None)
            )
    except TimeoutError:
        raise NotEstimated(
            f"who enters and leaves isn't told, because an estimate takes longer than "
            f"{ESTIMATE_SECONDS:.0f} s; --exact computes it, however long that takes"
        ) from None
    return {(each.project, each.audience): each for each in found}


def after(published: Collection[PublishedAudience], plan: Plan) -> list[PublishedAudience]:
    """What would be published once the plan is carried out."""
    found = {(each.audience.project, each.audience.id): each for each in published if not each.deleted}
    for change in plan.differences:
        version = 1 if change.before is None else change.before.version + 1
        if change.action == "delete":
            del found[change.id]
        elif change.id in found:
            found[change.id] = replace(found[change.id], audience=change.audience, version=version)
        else:
            found[change.id] = PublishedAudience(change.audience, version)
    return list(found.values())


def effect_text(effect: ChangeEstimate) -> str:
    """``about 120 enter (100 to 140), nobody leaves; 5,000 members now``."""
    enters = _moves(effect.enters, "enter", "enters")
    exits = _moves(effect.exits, "leave", "leaves")
    if enters.startswith("nobody") and exits.startswith("nobody"):
        moved = "nobody enters or leaves"
    else:
        moved = f"{enters}, {exits}"
    return f"{moved}; {_size(effect.before)} members before, {_size(effect.after)} after"


def effect_document(effect: ChangeEstimate) -> dict[str, Any]:
    """As JSON."""

    def sized(size: Sized) -> dict[str, Any]:
        return {"users": size.users, "low": size.low, "high": size.high, "exact": size.is_exact}

    return {name: sized(getattr(effect, name)) for name in ("before", "after", "enters", "exits")}


def _moves(size: Sized, many: str, one: str) -> str:
    if size.users == 0 and size.is_exact:
        return f"nobody {one}"
    if size.is_exact:
        return f"{size.users:,} {one if size.users == 1 else many}"
    return f"about {size.users:,} {many} ({size.low:,} to {size.high:,})"


def _size(size: Sized) -> str:
    return f"{size.users:,}" if size.is_exact else f"about {size.users:,}"


class _Tell:
    """Says now and then on standard error how far an exact computation is."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told_at < TELL_SECONDS:
            return
        self._told_at = now
        what = "records read" if progress.stage == "read" else "users evaluated"
        print(f"computing: {progress.done:,} of {progress.total:,} {what}", file=sys.stderr, flush=True)
