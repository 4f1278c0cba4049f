"""``turnstile audiences apply``: show what would change, ask, publish it, and wait until it is ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.asking import Yes
from app.commands.authoring.audiences.options import NoWait, Wait
from app.commands.authoring.told import counted, told
from app.commands.options import AsJson, Definitions, SettingsFile, load_quiet

if TYPE_CHECKING:
    from app.commands.authoring.audiences.following.progress_text import Awaited
    from app.commands.authoring.audiences.planned.effects import Effects
    from app.commands.authoring.audiences.planned.plan import AudienceId, Plan
    from app.settings.tree import Settings
    from rules.parse.audience import ParsedAudience

HERE_NOBODY = "--yes publishes it, --dry-run only shows it"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the files and the options say."""

    audiences: Sequence[ParsedAudience]
    prune: bool
    strict: bool
    estimates: bool
    exact: bool


@dataclass(slots=True)
class _Shown:
    """What somebody is asked about."""

    plan: Plan
    effects: Effects = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """For standard error."""
    unready: list[Awaited] = field(default_factory=list)
    """Versions that are the same as in the files, and aren't ready yet."""
    released: list[Awaited] = field(default_factory=list)
    """Of these, those that somebody has released."""


def apply(
    files: Definitions,
    yes: Yes = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would change, and stop. Exit code 0: nothing; 2: something; 1: it can't be told.",
        ),
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete audiences of the files' projects that the files lack.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compute who enters and leaves, however long that takes.")
    ] = False,
    no_estimate: Annotated[
        bool, typer.Option("--no-estimate", help="Don't estimate who enters and leaves.")
    ] = False,
    no_wait: NoWait = False,
    wait: Wait = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings are errors: nothing is published.")
    ] = False,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Publish definitions, all or none, after showing what that changes.

    Audiences that aren't in the files stay as they are, but for --prune. Asks on a terminal; elsewhere --yes
    or --dry-run is needed. Exit codes: 0 all is ready, or there was nothing to do; 1 somebody said no; 2
    nothing was published; 3 it is published and not ready: held, failed, or nobody computes it.
    """
    from app.commands.authoring.audiences.following.exit_codes import dry_run_failures

    with dry_run_failures(dry_run):
        loaded = load_quiet(settings)
        wanted = _Wanted(_parsed(loaded, files), prune, strict, not no_estimate, exact)
        shown = _show(loaded, wanted, dry_run=dry_run, as_json=as_json)
    if shown.plan.differences:
        awaited = _publish(loaded, wanted, shown, yes, as_json)
    else:
        awaited = shown.unready
    if not no_wait:
        from app.commands.authoring.audiences.following.waiting import wait_for

        wait_for(loaded, awaited, wait, shown.released)


def _parsed(settings: Settings, files: Definitions) -> Sequence[ParsedAudience]:
    """Raises DefinitionsInvalid with all that is wrong with the definitions by themselves."""
    from app.publish.files import parse_definition_files
    from rules.parse.definitions import check_together
    from rules.parse.problems import DefinitionsInvalid

    wanted, problems = parse_definition_files(files, settings.state.max_samples, settings.projects.zones)
    problems += check_together(wanted, references=False)  # they may be to published audiences
    if problems:
        raise DefinitionsInvalid(problems)
    return wanted


# -- the plan ----------------------------------------------------------------------------------------


def _show(settings: Settings, wanted: _Wanted, *, dry_run: bool, as_json: bool) -> _Shown:
    """Make the plan and print it; a dry run ends with it."""
    import asyncio

    from app.commands.authoring.audiences.following.exit_codes import DIFFERENCES

    shown = asyncio.run(_planned(settings, wanted))
    for note in shown.notes:
        typer.echo(note, err=True)
    if not as_json:
        _print(shown, dry_run)
    elif dry_run or not shown.plan.differences:
        _print_json(shown, {}, dry_run)
    if dry_run:
        raise typer.Exit(DIFFERENCES if shown.plan.differences else 0)
    return shown


async def _planned(settings: Settings, wanted: _Wanted) -> _Shown:
    from app.commands.authoring.audiences.planned.effects import NotEstimated, estimated
    from app.commands.authoring.audiences.planned.planning import check_plan, plan_of_files
    from app.commands.authoring.audiences.published import read_known
    from app.failures import CommandFailed
    from app.publish.author import shell_author
    from app.publish.lifecycle import connected_lifecycle
    from rules.warn.find import warnings_of

    known = await read_known(settings)
    plan = plan_of_files(known.audiences, wanted.audiences, wanted.prune)
    check_plan(known.audiences, wanted.audiences, plan)
    async with connected_lifecycle(settings) as lifecycle:
        await lifecycle.check(shell_author(), wanted.audiences, [each.id for each in plan.of("delete")])
    published = known.audiences.published.values()
    warnings = warnings_of(wanted.audiences, [each.audience for each in published if not each.deleted])
    unready = known.unready(plan)
    shown = _Shown(plan, notes=list(told((), warnings)), unready=unready, released=known.released(unready))
    if warnings and wanted.strict:
        for note in shown.notes:
            typer.echo(note, err=True)
        raise CommandFailed(
            f"{counted(len(warnings), 'warning')}: nothing was published, because of --strict"
        )
    if wanted.estimates and any(each.is_computed or each.action == "delete" for each in plan.differences):
        try:
            shown.effects = await estimated(settings, list(published), plan, exact=wanted.exact)
        except NotEstimated as reason:
            shown.notes.append(str(reason))
    return shown


def _print(shown: _Shown, dry_run: bool) -> None:
    from app.commands.authoring.audiences.planned.effects import effect_text
    from app.commands.authoring.audiences.planned.plan_text import plan_lines, print_lines, summary

    effects = {id: effect_text(each) for id, each in shown.effects.items()}
    print_lines(plan_lines(shown.plan, effects, would=dry_run))
    typer.echo(summary(shown.plan, would=dry_run))
    if dry_run:
        typer.echo("dry run: nothing was published")


def _print_json(shown: _Shown, versions: Mapping[AudienceId, int], dry_run: bool) -> None:
    from app.commands.authoring.audiences.planned.effects import effect_document
    from app.commands.authoring.audiences.planned.plan_text import plan_document
    from app.shown_bytes import safe_json

    effects = {id: effect_document(each) for id, each in shown.effects.items()}
    document: dict[str, Any] = {"dry_run": dry_run, **plan_document(shown.plan, effects, versions)}
    typer.echo(safe_json(document))


# -- doing it ----------------------------------------------------------------------------------------


def _publish(
    settings: Settings, wanted: _Wanted, shown: _Shown, yes: bool, as_json: bool
) -> Sequence[Awaited]:
    """Ask, and do what was shown; the versions to wait for."""
    import asyncio

    from app.commands.asking import ask
    from app.commands.authoring.audiences.following.progress_text import Awaited
    from app.commands.authoring.audiences.planned.plan_text import done_lines, print_lines
    from app.commands.authoring.audiences.planned.publish import publish_plan

    ask("Publish this?", yes, HERE_NOBODY)
    versions = asyncio.run(publish_plan(settings, wanted.audiences, shown.plan))
    if as_json:
        _print_json(shown, versions, dry_run=False)
    else:
        print_lines(done_lines(shown.plan, versions))
    computed = [Awaited(*each.id, versions[each.id]) for each in shown.plan.differences if each.is_computed]
    return [*computed, *shown.unready]
