"""``turnstile audiences``: publish, list and delete definitions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.authoring.told import counted, told
from app.commands.options import Definitions, SettingsFile, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from agents.registry.audiences import AudienceChange
    from app.publish.audiences import Published
    from app.settings.tree import Settings
    from rules.parse.audience import ParsedAudience

cli = typer.Typer(help="Publish, list and delete definitions.", no_args_is_help=True)

Project = Annotated[str, typer.Option(help="The project of the audiences.")]


@cli.command()
def apply(
    files: Definitions,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and stop.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings are errors: nothing is published.")
    ] = False,
    settings: SettingsFile = None,
) -> None:
    """Publish definitions, all or none; audiences that aren't in the files stay as they are."""
    import asyncio

    from app.publish.files import parse_definition_files
    from rules.parse.definitions import check_together
    from rules.parse.problems import DefinitionsInvalid

    loaded = load_quiet(settings)
    wanted, problems = parse_definition_files(files, loaded.state.max_samples, loaded.projects.zones)
    problems += check_together(wanted, references=False)  # they may be to published audiences
    if problems:
        raise DefinitionsInvalid(problems)
    asyncio.run(_apply(loaded, wanted, dry_run, strict))


async def _apply(settings: Settings, wanted: Sequence[ParsedAudience], dry_run: bool, strict: bool) -> None:
    from agents.registry.audiences import plan_changes
    from app.failures import CommandFailed
    from app.publish.audiences import check_beside_published, connected, publication_ms
    from rules.compile.audience import PublishedAudience
    from rules.parse.problems import DefinitionsInvalid
    from rules.warn.find import warnings_of

    async with connected(settings) as topic:
        published = await topic.read_to_change()
        problems = check_beside_published(wanted, published)
        if problems:
            raise DefinitionsInvalid(problems)
        warnings = warnings_of(wanted, [each.audience for each in published.values() if not each.deleted])
        for line in told((), warnings):
            typer.echo(line, err=True)
        if warnings and strict:
            raise CommandFailed(
                f"{counted(len(warnings), 'warning')}: nothing was published, because of --strict"
            )
        changes = plan_changes(
            published, [each.audience for each in wanted], topic.versions, topic.version_floor
        )
        changed = [each for each in changes if each.action != "unchanged"]
        if not dry_run:
            at_ms = publication_ms(published, time.time_ns() // 1_000_000)
            await topic.write(
                [PublishedAudience(each.audience, each.version, created_ms=at_ms) for each in changed]
            )
    typer.echo(_report(changes, published, dry_run))


def _report(changes: Sequence[AudienceChange], published: Published, dry_run: bool) -> str:
    import json

    from app.publish.audiences import new_event_conditions
    from rules.write.audience import rule_document

    rows = [
        (each.action, each.audience.project, each.audience.id, f"version {each.version}") for each in changes
    ]
    lines = list(columns(rows))
    for (project, audience), fresh in new_event_conditions(changes, published).items():
        for condition in fresh:
            text = json.dumps(rule_document(condition), ensure_ascii=False)
            lines.append(f"{project}/{audience}: new, counts from now on, without earlier events: {text}")
    if dry_run:
        lines.append("dry run: nothing was published")
    return "\n".join(lines)


@cli.command("list")
def list_audiences(settings: SettingsFile = None) -> None:
    """List the published definitions."""
    import asyncio

    loaded = load_quiet(settings)
    published = asyncio.run(read_published(loaded))
    rows = [
        (each.audience.project, each.audience.id, f"version {each.version}", each.audience.name)
        for _, each in sorted(published.items())
        if not each.deleted
    ]
    typer.echo("\n".join(columns(rows)) if rows else "no audience is published")


@cli.command()
def delete(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of audiences.", show_default=False)],
    project: Project = "default",
    settings: SettingsFile = None,
) -> None:
    """Delete audiences, all or none; their members leave them with the cause `definition`."""
    import asyncio

    loaded = load_quiet(settings)
    asyncio.run(_delete(loaded, ids, project))


async def _delete(settings: Settings, ids: Sequence[str], project: str) -> None:
    from app.failures import CommandFailed
    from app.publish.audiences import check_deletion, connected
    from rules.compile.audience import PublishedAudience
    from rules.parse.problems import name_hint

    async with connected(settings) as topic:
        published = await topic.read_to_change()
        known = {
            each.audience.id: each
            for each in published.values()
            if each.audience.project == project and not each.deleted
        }
        unknown = [each for each in ids if each not in known]
        if unknown:
            where = f"in project '{project}'"
            faults = [f"there is no audience '{each}' {where}; {name_hint(each, known)}" for each in unknown]
            raise CommandFailed("\n".join(faults) if known else f"there is no audience {where}")
        if faults := check_deletion(ids, project, published):
            raise CommandFailed("\n".join(faults))
        deleted = [
            PublishedAudience(known[each].audience, known[each].version + 1, deleted=True)
            for each in dict.fromkeys(ids)
        ]
        await topic.write(deleted)
    rows = [("deleted", project, each.audience.id, f"version {each.version}") for each in deleted]
    typer.echo("\n".join(columns(rows)))


async def read_published(settings: Settings) -> Published:
    """Everything on the definitions topic. Raises CommandFailed when no broker answers."""
    from app.publish.audiences import connected

    async with connected(settings) as topic:
        return await topic.read()
