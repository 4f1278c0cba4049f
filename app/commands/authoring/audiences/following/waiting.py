"""Waiting for what a command published, and saying how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator

import typer

from app.commands.authoring.audiences.following.bars import screen
from app.commands.authoring.audiences.following.exit_codes import NOT_READY
from app.commands.authoring.audiences.following.follow import Followed, follow
from app.commands.authoring.audiences.following.progress_text import Awaited, held_text, state_text
from app.failures import CommandFailed
from app.settings.tree import Settings
from app.shown_bytes import safe, safe_lines

GOES_ON = (
    "what was published stays, and workers go on with it; `turnstile audiences list` says how far they are"
)


def wait_for(
    settings: Settings,
    awaited: Collection[Awaited],
    seconds: float | None,
    released: Collection[Awaited] = (),
) -> None:
    """Show progress until all is ready. ``seconds``: so long at most; ``released`` as of ``follow``.

    Ends the command with NOT_READY when it doesn't become ready, or when that can't be known.
    """
    if not awaited:
        return
    try:
        followed = asyncio.run(follow(settings, awaited, screen(), seconds, released))
    except KeyboardInterrupt:
        typer.echo(f"stopped waiting: {GOES_ON}", err=True)
        raise
    except CommandFailed as error:
        typer.echo(safe_lines(f"{error}; {GOES_ON}"), err=True)
        raise typer.Exit(NOT_READY) from None
    for line in ending_lines(followed, settings.worker.app_id):
        typer.echo(safe_lines(line), err=True)
    if followed.ending != "ready":
        raise typer.Exit(NOT_READY)


def ending_lines(followed: Followed, group: str) -> Iterator[str]:
    """What became of each version, and what is to be done where one isn't ready."""
    states = followed.states
    if followed.ending == "ready":
        yield "ready" if len(states) == 1 else f"all {len(states)} are ready"
        return
    for awaited, state in states.items():
        if state.state == "held":
            yield held_text(awaited, state)
        elif awaited in followed.overtaken:
            yield f"{awaited}: somebody published a later version, which is computed in its place"
        elif not state.is_ready:
            yield f"{safe(str(awaited))}: {state_text(state)}"
    if followed.ending == "no_worker":
        yield (
            f"no worker runs (nobody is in the consumer group '{group}'), so nothing is computed yet. "
            f"Start one with `turnstile worker`: {GOES_ON}"
        )
    elif followed.ending == "timeout":
        yield f"the time is over (--wait): {GOES_ON}"
