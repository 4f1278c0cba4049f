"""``turnstile audiences restore`` and ``take-back``: an earlier version comes back as a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.asking import Yes, ask
from app.commands.authoring.audiences.options import Id, NoWait, Project, Wait
from app.commands.options import AsJson, SettingsFile, load_quiet

if TYPE_CHECKING:
    from rules.compile.audience import PublishedAudience


def restore(
    id: Id,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Which one.", show_default=False)],
    project: Project = "default",
    yes: Yes = False,
    no_wait: NoWait = False,
    wait: Wait = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Publish an earlier version once more, as a new version; also of an audience that was deleted."""
    import asyncio

    from app.commands.authoring.audiences.changing import as_seen, carry_out, wait_unless
    from app.commands.authoring.audiences.published import read_known
    from app.commands.authoring.audiences.versions import definition_of
    from app.publish.author import shell_author

    loaded = load_quiet(settings)
    known = asyncio.run(read_known(loaded))
    (latest,) = known.find(project, [id], deleted=True)
    wanted = definition_of(known, latest, version)
    if not latest.deleted and repr(wanted.audience) == repr(latest.audience):
        typer.echo(f"nothing to do: version {latest.version} is the same as version {version}", err=True)
        return
    if not as_json:
        _print_change(latest, wanted)
    ask(f"Publish version {version} again?", yes)
    changes = carry_out(
        loaded,
        lambda it: it.restore(shell_author(), project, id, version, as_seen([latest])),
        as_json,
    )
    is_computed = latest.deleted or _is_computed(latest, wanted)
    wait_unless(no_wait or not is_computed, loaded, changes, wait)


def take_back(
    id: Id,
    project: Project = "default",
    yes: Yes = False,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Go back from a version that is held to the one that decides now. Nobody enters or leaves."""
    import asyncio

    from app.commands.authoring.audiences.changing import as_seen, carry_out
    from app.commands.authoring.audiences.held import print_held
    from app.commands.authoring.audiences.published import read_known
    from app.publish.author import shell_author

    loaded = load_quiet(settings)
    known = asyncio.run(read_known(loaded))
    (latest,) = known.find(project, [id])
    print_held(known, latest)
    ask("Take it back? The version before it goes on deciding.", yes)
    carry_out(loaded, lambda it: it.take_back(shell_author(), project, id, as_seen([latest])), as_json)


def _print_change(latest: PublishedAudience, wanted: PublishedAudience) -> None:
    from app.commands.authoring.audiences.planned.plan import Action, Plan, PlannedChange
    from app.commands.authoring.audiences.planned.plan_text import plan_lines, print_lines

    action: Action = "create" if latest.deleted else "change"
    is_computed = latest.deleted or _is_computed(latest, wanted)
    change = PlannedChange(action, wanted.audience, latest, is_computed)
    print_lines(plan_lines(Plan((change,)), {}, would=False))


def _is_computed(latest: PublishedAudience, wanted: PublishedAudience) -> bool:
    from rules.model.computation import same_computation

    return not same_computation(latest.audience, wanted.audience)
