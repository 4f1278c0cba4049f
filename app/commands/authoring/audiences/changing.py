"""What the commands that change published audiences have in common: do it, say it, wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from app.commands.authoring.audiences.following.progress_text import Awaited
from app.commands.authoring.audiences.following.waiting import wait_for
from app.publish.lifecycle import Lifecycle, connected_lifecycle
from app.settings.tree import Settings
from app.shown_bytes import safe, safe_json
from rules.compile.audience import PublishedAudience

if TYPE_CHECKING:
    from app.publish.ask import Expected
    from app.publish.decisions import Changes


def as_seen(seen: Iterable[PublishedAudience]) -> Expected:
    """Have a change fail where somebody else came first."""
    return {f"{each.audience.project}/{each.audience.id}".encode(): [each.version] for each in seen}


def carry_out(
    settings: Settings, change: Callable[[Lifecycle], Awaitable[Changes]], as_json: bool
) -> Changes:
    """Make a change, and say what it came to. Raises what the life cycle raises."""

    async def made() -> Changes:
        async with connected_lifecycle(settings) as lifecycle:
            return await change(lifecycle)

    changes = asyncio.run(made())
    if as_json:
        typer.echo(safe_json([_document(*each) for each in told(changes)]))
    else:
        for action, id, version in told(changes):
            typer.echo(safe(f"{action} {'/'.join(id)}, version {version}"))
    return changes


def show(lines: Iterable[str], as_json: bool) -> None:
    """What is about to be done; not where the JSON goes."""
    for line in lines:
        typer.echo(safe(line), err=as_json)


def told(changes: Changes) -> list[tuple[str, tuple[str, str], int]]:
    """Action, project and id, version of each."""
    return [
        (each.action.replace("_", " "), (each.audience.project, each.audience.id), each.version)
        for each in changes
    ]


def _document(action: str, id: tuple[str, str], version: int) -> dict[str, Any]:
    return {"action": action, "project": id[0], "id": id[1], "version": version}


def wait_unless(no_wait: bool, settings: Settings, changes: Changes, seconds: float | None) -> None:
    """Until all that isn't deleted is ready."""
    awaited: Sequence[Awaited] = [
        Awaited(*id, version)
        for action, id, version in told(changes)
        if action not in ("deleted", "unchanged")
    ]
    if not no_wait:
        wait_for(settings, awaited, seconds)
