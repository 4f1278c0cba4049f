"""What requests about definitions answer with (docs/http.md)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from agents.backfill.progress.progress import State, VersionState
from agents.registry.audiences import record_key
from app.http.answers import Instant, ProblemError
from rules.compile.audience import PublishedAudience
from rules.time.instants import format_instant
from rules.write.audience import to_document

Document = Annotated[dict[str, Any], Meta(description="The definition, as the language has it")]


class ComingChange(Struct, frozen=True):
    """What a version that hasn't taken over everywhere will change, as far as that is counted."""

    enters: int
    exits: int
    members: Annotated[int, Meta(description="Members of the version before it")]
    is_counted: Annotated[bool, Meta(description="Every partition has counted")]


class AudienceShown(Struct, frozen=True, kw_only=True):
    """A published audience, with how far its latest version is."""

    id: str
    project: str
    name: str
    version: Annotated[int, Meta(description="The latest; the ETag")]
    published_at: Instant
    by: Annotated[str, Meta(description="The key, or the account, that published it; empty: not known")]
    state: Annotated[State, Meta(description="How far the latest version is")]
    progress: Annotated[float, Meta(description="From 0 to 1")]
    history_from: Annotated[
        Instant | None,
        Meta(description="From when on the history was read, where the rule looks back further; null: all"),
    ]
    size: Annotated[
        int | None,
        Meta(description="How many members it has; null: not known now, or the key lacks the scope `lookup`"),
    ]
    released: Annotated[bool, Meta(description="It may take over, however many memberships it changes")]
    reason: Annotated[str, Meta(description="Why it is held or failed")] | UnsetType = UNSET
    change: ComingChange | UnsetType = UNSET
    definition: Document


class AudiencesShown(Struct, frozen=True):
    """The published audiences of a project, by id."""

    project: str
    audiences: list[AudienceShown]


class VersionShown(Struct, frozen=True, kw_only=True):
    """One version of an audience: who published it when."""

    version: int
    published_at: Instant
    by: str
    deleted: bool
    rebuild: Annotated[bool, Meta(description="The definition before it, computed anew")]
    released: bool
    definition: Document | UnsetType = UNSET


class VersionsShown(Struct, frozen=True):
    """All versions of an audience, the latest first; a deleted audience has them, too."""

    id: str
    project: str
    versions: list[VersionShown]


class Validation(Struct, frozen=True):
    """What is wrong with definitions, and what looks wrong."""

    valid: bool
    audiences: list[str]
    errors: list[ProblemError]
    warnings: list[ProblemError]


def audience_shown(
    published: PublishedAudience, state: VersionState, is_released: bool, size: int | None
) -> AudienceShown:
    audience = published.audience
    counted = state.enters or state.exits or state.is_counted
    change = ComingChange(state.enters, state.exits, state.members, state.is_counted)
    return AudienceShown(
        id=audience.id,
        project=audience.project,
        name=audience.name,
        version=published.version,
        published_at=format_instant(published.created_ms),
        by=published.by,
        state=state.state,
        progress=round(state.progress, 4),
        history_from=None if state.history_from_ms is None else format_instant(state.history_from_ms),
        size=size,
        released=is_released,
        reason=state.reason or UNSET,
        change=change if counted and state.state not in ("cut", "ready") else UNSET,
        definition=to_document(audience),
    )


def version_shown(
    published: PublishedAudience, released: set[tuple[bytes, int]], *, whole: bool
) -> VersionShown:
    """``whole``: with the definition."""
    return VersionShown(
        version=published.version,
        published_at=format_instant(published.created_ms),
        by=published.by,
        deleted=published.deleted,
        rebuild=published.rebuild,
        released=(record_key(published.audience), published.version) in released,
        definition=to_document(published.audience) if whole else UNSET,
    )
