"""``turnstile push``: publish pushes, run them, see what became of their runs; and the process for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.authoring.changed import tell_changes, tell_rights
from app.commands.options import AsKey, Definitions, DryRun, SettingsFile, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from agents.pushes.contract.parse_push import ParsedPush
    from agents.pushes.runs import Action, Run
    from app.settings.tree import Settings

cli = typer.Typer(help="Lists of members, once or on a schedule.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a push.", show_default=False)]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run.", show_default=False)]
Project = Annotated[str, typer.Option("--project", help="Whose push it is.")]


@cli.command()
def apply(
    files: Definitions, dry_run: DryRun = False, as_key: AsKey = None, settings: SettingsFile = None
) -> None:
    """Publish pushes, all or none; those that aren't in the files stay as they are."""
    import asyncio

    from app.publish.named.pushes import load_push_files

    asyncio.run(_apply(load_quiet(settings), load_push_files(files), dry_run, as_key))


async def _apply(settings: Settings, parsed: Sequence[ParsedPush], dry_run: bool, key: str | None) -> None:
    from app.publish.author import shell_author
    from app.publish.named.connections import naming_of_push
    from app.publish.named.pushes import publish_pushes
    from app.publish.named.rights import usable_by_command
    from app.publish.topics import connected

    async with connected(settings) as topics:
        usable = usable_by_command(key)
        author = shell_author()
        changes = await publish_pushes(
            topics, lambda checks: checks.check(parsed), author, usable, dry_run=dry_run
        )
    tell_rights(topics, [naming_of_push(each.push) for each in parsed], key)
    tell_changes(changes, dry_run=dry_run)


@cli.command("list")
def list_pushes(settings: SettingsFile = None) -> None:
    """List the published pushes, with their next time and their last run."""
    import asyncio

    asyncio.run(_list(load_quiet(settings)))


async def _list(settings: Settings) -> None:
    from agents.pushes.due import next_due_ms
    from app.kafka.admin import connected_admin
    from app.publish.named.changes import now_ms
    from app.publish.topics import DefinitionTopics
    from app.pushes.topic import RunsTopic
    from rules.time.instants import format_instant

    async with connected_admin(settings) as admin:
        topics = DefinitionTopics(settings, tells=True)
        published = (await topics.read(topics.pushes)).live()
        ledger = await RunsTopic(settings, admin).read()
    rows = []
    for each in published:
        push, key = each.definition, each.definition.key
        runs = ledger.index.of_push(key)
        last_ms = ledger.index.last_due_ms(key, each.generation)
        next_ms = next_due_ms(push, each.scheduled_ms, last_ms, now_ms())
        rows.append(
            (
                key,
                push.audience,
                push.connection,
                "disabled" if not push.enabled else push.schedule.kind,
                "-" if next_ms is None else f"next {format_instant(next_ms)}",
                f"{runs[-1].state} {runs[-1].id}" if runs else "no run",
            )
        )
    typer.echo("\n".join(columns(rows)) if rows else "no push is published")


@cli.command()
def show(run: RunId, settings: SettingsFile = None) -> None:
    """Show a run: counts by id type, what happened, how far it is."""
    import asyncio

    asyncio.run(_show(load_quiet(settings), run))


async def _show(settings: Settings, run_id: str) -> None:
    from app.kafka.admin import connected_admin
    from app.pushes.shown import lines_of
    from app.pushes.topic import RunsTopic

    async with connected_admin(settings) as admin:
        run = await RunsTopic(settings, admin).find(run_id)
    typer.echo("\n".join(columns(list(lines_of(run)))))


@cli.command()
def history(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this push alone.")] = None,
    project: Project = "default",
    settings: SettingsFile = None,
) -> None:
    """List runs, the latest first, of pushes that were deleted, too."""
    import asyncio

    asyncio.run(_history(load_quiet(settings), name, project))


async def _history(settings: Settings, name: str | None, project: str) -> None:
    from app.kafka.admin import connected_admin
    from app.pushes.topic import RunsTopic
    from rules.time.instants import format_instant

    async with connected_admin(settings) as admin:
        ledger = await RunsTopic(settings, admin).read()
    found = ledger.runs if name is None else ledger.index.of_push(f"{project}/{name}")
    rows = [
        (
            each.id,
            each.push_key,
            each.trigger,
            format_instant(each.created_ms),
            each.state,
            f"{each.rows} ids of {each.members} members",
            each.reason,
        )
        for each in reversed(found)
    ]
    typer.echo("\n".join(columns(rows)) if rows else "there was no run")


@cli.command()
def run(name: Name, project: Project = "default", settings: SettingsFile = None) -> None:
    """Run a push now, once."""
    import asyncio

    asyncio.run(_run(load_quiet(settings), project, name))


async def _run(settings: Settings, project: str, name: str) -> None:
    from agents.pushes.runs import run_id
    from app.kafka.admin import connected_admin
    from app.publish.author import shell_author
    from app.publish.named.changes import present
    from app.publish.topics import DefinitionTopics
    from app.pushes.topic import RunsTopic, request_of

    async with connected_admin(settings) as admin:
        topics = DefinitionTopics(settings, tells=True)
        published = present(await topics.read(topics.pushes), name, project)
        request = request_of("run", project, name, by=shell_author().name, version=published.version)
        await RunsTopic(settings, admin).ask(request)
    typer.echo(f"asked for run {run_id(project, name, published.generation, request.id)}")


@cli.command()
def repush(run: RunId, settings: SettingsFile = None) -> None:
    """Push once more what a run pushed: the same list while it is kept, otherwise a new one."""
    import asyncio

    asyncio.run(_ask(load_quiet(settings), "repush", run))


@cli.command()
def cancel(run: RunId, settings: SettingsFile = None) -> None:
    """End a run that isn't over. If its target has the list whole by then, it stays delivered."""
    import asyncio

    asyncio.run(_ask(load_quiet(settings), "cancel", run))


async def _ask(settings: Settings, action: Action, run: str) -> None:
    from agents.pushes.runs import run_id
    from app.failures import CommandFailed
    from app.kafka.admin import connected_admin
    from app.publish.author import shell_author
    from app.pushes.topic import RunsTopic, request_of

    async with connected_admin(settings) as admin:
        topic = RunsTopic(settings, admin)
        found = await topic.find(run)
        refused = why_not(found, action)
        if refused:
            raise CommandFailed(refused)
        request = request_of(action, found.project, found.push, run, shell_author().name)
        await topic.ask(request)
    if action == "repush":
        typer.echo(f"asked for run {run_id(found.project, found.push, found.generation, request.id)}")
    else:
        typer.echo(f"asked to {action} run {run}")


def why_not(run: Run, action: Action) -> str:
    """Why nobody can ask for that; empty: they can."""
    if action == "repush" and not run.is_done:
        return f"run {run.id} isn't over: it is {run.state}"
    if action == "cancel" and run.is_done:
        return f"run {run.id} is over: it is {run.state}"
    return ""


@cli.command()
def delete(name: Name, project: Project = "default", settings: SettingsFile = None) -> None:
    """Delete a push. Its schedule ends, runs under way go on, its history stays."""
    import asyncio

    asyncio.run(_delete(load_quiet(settings), project, name))


async def _delete(settings: Settings, project: str, name: str) -> None:
    from app.publish.author import shell_author
    from app.publish.named.pushes import delete_push
    from app.publish.topics import connected

    async with connected(settings) as topics:
        tell_changes(await delete_push(topics, project, name, shell_author()))


@cli.command()
def worker(settings: SettingsFile = None) -> None:
    """Carry pushes out until SIGTERM or Ctrl-C. Of several such processes one leads."""
    import asyncio

    from aiokafka.errors import KafkaConnectionError

    from app.kafka.admin import unreachable
    from app.logs import configure_logs
    from app.pushes.process import run as run_process
    from app.settings.tree import load_settings

    loaded = load_settings(settings)
    configure_logs(loaded.logs)
    try:
        asyncio.run(run_process(loaded))
    except KafkaConnectionError as error:
        raise asyncio.run(unreachable(loaded, error)) from None


@cli.command()
def profiles(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Of a profile.", show_default=False)
    ] = None,
) -> None:
    """List the systems that lists are made for; with a name, print a definition to begin with."""
    from agents.pushes.profiles.profiles import profiles as shipped
    from agents.pushes.profiles.profiles import started_definition
    from app.failures import CommandFailed
    from rules.parse.problems import name_hint

    if name is None:
        typer.echo("\n".join(columns([(each.name, each.label) for each in shipped().values()])))
        return
    if name not in shipped():
        raise CommandFailed(f"there is no profile '{name}'; {name_hint(name, shipped())}")
    typer.echo(started_definition(shipped()[name]), nl=False)
