"""``turnstile audiences versions`` and ``show``: what was published, by whom, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.authoring.audiences.options import Id, Project
from app.commands.options import AsJson, SettingsFile, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from app.commands.authoring.audiences.published import Known
    from rules.compile.audience import PublishedAudience


def show(
    id: Id,
    version: Annotated[
        int | None, typer.Option(min=0, help="Another version than the latest.", show_default=False)
    ] = None,
    project: Project = "default",
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Print a definition as YAML, as it was published."""
    import asyncio

    from app.commands.authoring.audiences.published import read_known
    from app.shown_bytes import safe_json
    from rules.write.audience import to_document
    from rules.write.text import to_yaml

    known = asyncio.run(read_known(load_quiet(settings)))
    (latest,) = known.find(project, [id], deleted=version is not None)
    found = latest if version is None else definition_of(known, latest, version)
    typer.echo(safe_json(to_document(found.audience)) if as_json else to_yaml(found.audience).rstrip())


def definition_of(known: Known, latest: PublishedAudience, version: int) -> PublishedAudience:
    """Raises CommandFailed where there is no such version, or where it is a deletion."""
    from app.failures import CommandFailed

    id, versions = latest.audience.id, known.versions(latest)
    there = ", ".join(str(number) for number, each in versions.items() if not each.deleted)
    if version not in versions:
        raise CommandFailed(f"audience '{id}' has no version {version}; there are {there}")
    if versions[version].deleted:
        raise CommandFailed(f"version {version} of audience '{id}' is its deletion; there are {there}")
    return versions[version]


def versions(
    id: Id, project: Project = "default", as_json: AsJson = False, settings: SettingsFile = None
) -> None:
    """List the versions of an audience, the latest first: who published each, when, and what it changed."""
    import asyncio

    from app.commands.authoring.audiences.published import read_known
    from app.shown_bytes import safe_json

    known = asyncio.run(read_known(load_quiet(settings)))
    (latest,) = known.find(project, [id], deleted=True)
    found = list(described(known, latest))[::-1]
    if as_json:
        typer.echo(safe_json(found))
        return
    head = ("version", "published", "by", "what", "state")
    typer.echo("\n".join(columns([head, *map(_row, found)])))


def described(known: Known, latest: PublishedAudience) -> Iterator[dict[str, Any]]:
    """All versions of an audience as JSON, the oldest first."""
    from rules.time.instants import format_instant
    from rules.write.text import difference

    all_of_it = known.versions(latest)
    taken_over = [version for version, each in all_of_it.items() if _has_taken_over(known, each)]
    before: PublishedAudience | None = None
    for version, each in all_of_it.items():
        state = known.state(each)
        yield {
            "version": version,
            "published": format_instant(each.created_ms) if each.created_ms else None,
            "by": each.by or None,
            "what": what_changed(before, each, all_of_it),
            "difference": [] if before is None else difference(before.audience, each.audience),
            "state": None if state is None else _state(state.state, version, taken_over),
            "progress": None if state is None else state.progress,
        }
        before = each


def _has_taken_over(known: Known, published: PublishedAudience) -> bool:
    state = known.state(published)
    return state is not None and state.state in ("cut", "ready")


def _state(state: str, version: int, taken_over: Sequence[int]) -> str:
    """Of versions that a later one has replaced that, instead of the last that was heard of them."""
    if not any(each > version for each in taken_over):
        return state
    return "replaced" if version in taken_over else "overtaken"


def what_changed(
    before: PublishedAudience | None, after: PublishedAudience, all_of_it: Mapping[int, PublishedAudience]
) -> str:
    """A version in a few words: what it changed, or which earlier one it has brought back."""
    from rules.write.audience import changed_keys

    if after.deleted:
        return "deleted"
    if after.rebuild:
        return "rebuilt"
    if after.goes_on_from:
        return f"taken back, as version {after.goes_on_from}"
    earlier = [
        version
        for version, each in all_of_it.items()
        if version < after.version and not each.deleted and repr(each.audience) == repr(after.audience)
    ]
    as_before = f"as version {earlier[-1]}" if earlier else ""
    if before is None or before.deleted:
        return ", ".join(each for each in ("created", as_before) if each)
    keys = ", ".join(changed_keys(before.audience, after.audience))
    return ", ".join(each for each in (keys, as_before) if each)


def _row(version: Mapping[str, Any]) -> tuple[str, ...]:
    state = version["state"] or "-"
    if state == "replaying":
        state = f"{state}, {int(100 * version['progress'])} %"
    return str(version["version"]), version["published"] or "-", version["by"] or "-", version["what"], state
