"""``turnstile audiences release``: let a version that is held take over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from app.commands.asking import Yes, ask
from app.commands.authoring.audiences.options import Id, NoWait, Project, Wait
from app.commands.options import SettingsFile, load_quiet

if TYPE_CHECKING:
    from app.commands.authoring.audiences.published import Known
    from rules.compile.audience import PublishedAudience


def release(
    id: Id,
    project: Project = "default",
    yes: Yes = False,
    no_wait: NoWait = False,
    wait: Wait = None,
    settings: SettingsFile = None,
) -> None:
    """Let a version that is held take over, however many memberships it changes. Shows how many first."""
    import asyncio

    from app.commands.authoring.audiences.changing import as_seen
    from app.commands.authoring.audiences.following.progress_text import Awaited
    from app.commands.authoring.audiences.following.waiting import wait_for
    from app.commands.authoring.audiences.published import read_known
    from app.publish.author import shell_author
    from app.publish.lifecycle import connected_lifecycle

    loaded = load_quiet(settings)
    known = asyncio.run(read_known(loaded))
    (latest,) = known.find(project, [id])
    print_held(known, latest)
    ask("Release it?", yes)

    async def released() -> int:
        async with connected_lifecycle(loaded) as lifecycle:
            return await lifecycle.release(shell_author(), project, id, as_seen([latest]))

    version = asyncio.run(released())
    typer.echo(f"released {project}/{id}, version {version}")
    if not no_wait:
        awaited = [Awaited(project, id, version)]
        wait_for(loaded, awaited, wait, released=awaited)


def print_held(known: Known, latest: PublishedAudience) -> None:
    """What the latest version would change. Raises CommandFailed where it isn't held."""
    from app.commands.authoring.audiences.following.progress_text import counts_text
    from app.failures import CommandFailed
    from app.shown_bytes import safe

    audience, state = latest.audience, known.state(latest)
    if state is None or state.state != "held":
        told = "no worker has told anything of it" if state is None else f"it is {state.state}"
        raise CommandFailed(f"version {latest.version} of audience '{audience.id}' isn't held: {told}")
    counts = f"{counts_text(state)} of {state.members:,} members"
    typer.echo(safe(f"{audience.project}/{audience.id} version {latest.version}: {counts}"))
