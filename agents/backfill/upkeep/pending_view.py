"""What a version that doesn't decide yet knows of one user: for explanations."""

from __future__ import annotations

from dataclasses import dataclass

from agents.backfill.progress.progress import ProgressOfVersions, State
from agents.backfill.upkeep.kept import Kept, key_of
from agents.backfill.versions.catalog import Catalog
from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.state.row import Row


@dataclass(frozen=True, slots=True)
class ShadowView:
    """The audience and the user as a shadow has them; the row is decided up to ``at_ms``.

    ``begin_ms``: where its history begins; 0: with the first record that ever was.
    """

    rules: ProjectRules
    audience: CompiledAudience
    row: Row
    at_ms: int
    begin_ms: int = 0


@dataclass(frozen=True, slots=True)
class PendingView:
    """``shadow`` None: nothing is computed yet, or nothing is known of the user there."""

    version: int
    state: State
    """In the partition of the user's row."""
    shadow: ShadowView | None


def pending_view(
    kept: Kept | None, catalog: Catalog, progress: ProgressOfVersions, audience: str, user_id: str
) -> PendingView | None:
    """Of an audience (``project/id``) and of a user whose row is in the partition.

    None: no version is pending.
    """
    version = catalog.wanted.get(audience)
    if kept is None or version is None or version == kept.active.get(audience):
        return None
    if catalog.published(audience, version).deleted:
        return None
    told = progress.published.get(key_of(kept, audience, version))
    state = "pending" if told is None else told.state
    return PendingView(version, state, _shadow_view(kept, audience, version, user_id))


def _shadow_view(kept: Kept, audience: str, version: int, user_id: str) -> ShadowView | None:
    opened = kept.opened
    if opened is None or opened.made.active.get(audience) != version:
        return None
    project, name = audience.split("/", 1)
    shadow = opened.shadow
    rules = shadow.rules.project(project)
    compiled, row = rules.by_id(name), shadow.known(project, user_id)
    if compiled is None or row is None:
        return None
    at_ms = max(row.now_ms, shadow.stream_time_ms)
    return ShadowView(rules, compiled, row, at_ms, opened.made.begin_ms)
