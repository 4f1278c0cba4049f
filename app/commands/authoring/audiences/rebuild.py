"""``turnstile audiences rebuild``: compute audiences anew from the history."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.asking import Yes, ask
from app.commands.authoring.audiences.options import NoWait, Project, Wait
from app.commands.options import AsJson, SettingsFile, load_quiet


def rebuild(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="Ids of audiences.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All audiences of the project.")] = False,
    project: Project = "default",
    yes: Yes = False,
    no_wait: NoWait = False,
    wait: Wait = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Compute audiences anew from the history, as after `turnstile import`; the difference comes out."""
    import asyncio

    from app.commands.authoring.audiences.changing import as_seen, carry_out, show, wait_unless
    from app.commands.authoring.audiences.published import read_known
    from app.failures import CommandFailed
    from app.publish.author import shell_author

    if bool(ids) == everything:
        raise CommandFailed("give ids of audiences, or --all, but not both")
    loaded = load_quiet(settings)
    known = asyncio.run(read_known(loaded))
    found = list(known.in_force(project)) if everything else known.find(project, ids or ())
    if not found:
        raise CommandFailed(f"there is no audience in project '{project}'")
    show(
        (f"~ will compute {project}/{each.audience.id} anew: {each.audience.name}" for each in found), as_json
    )
    ask("Compute these anew? Users for whom the answer changes enter or leave.", yes)
    names = [each.audience.id for each in found]
    changes = carry_out(
        loaded, lambda it: it.rebuild(shell_author(), project, names, as_seen(found)), as_json
    )
    wait_unless(no_wait, loaded, changes, wait)
