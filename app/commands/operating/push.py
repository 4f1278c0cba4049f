"""``turnstile push``: publish pushes, run them, see what became of their runs; and the process for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import Definitions, SettingsFile, load_quiet
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
    files: Definitions,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and stop.")] = False,
    settings: SettingsFile = None,
) -> None:
    """Publish pushes, all or none; those that aren't in the files stay as they are."""
    import asyncio

    from app.pushes.topic import load_push_files

    asyncio.run(_apply(load_quiet(settings), load_push_files(files), dry_run))


async def _apply(settings: Settings, parsed: Sequence[ParsedPush], dry_run: bool) -> None:
    from agents.pushes.published import plan_changes
    from app.pushes.permitted import PushChecks
    from app.pushes.topic import connected, now_ms

    async with connected(settings) as topics:
        connections, audiences = await topics.connections.read(), await topics.audiences.read()
        wanted = PushChecks(settings, connections, audiences).check(parsed)
        before = await topics.pushes.read()
        changes = plan_changes(before, wanted, now_ms(), topics.pushes.unusable_versions)
        if not dry_run:
            await topics.pushes.write(
                [(each.published, each.action) for each in changes if each.action != "unchanged"]
            )
    rows = [(each.action, each.published.push.key, f"version {each.published.version}") for each in changes]
    lines = list(columns(rows))
    if dry_run:
        lines.append("dry run: nothing was published")
    typer.echo("\n".join(lines))


@cli.command("list")
def list_pushes(settings: SettingsFile = None) -> None:
    """List the published pushes, with their next time and their last run."""
    import asyncio

    asyncio.run(_list(load_quiet(settings)))


async def _list(settings: Settings) -> None:
    from agents.pushes.due import next_due_ms
    from agents.pushes.runs import last_due_ms
    from app.pushes.topic import connected, now_ms
    from rules.time.instants import format_instant

    async with connected(settings) as topics:
        published, ledger = await topics.pushes.read(), await topics.runs.read()
    rows = []
    for key, each in sorted(published.items()):
        if each.deleted:
            continue
        runs = ledger.of_push(key)
        last_ms = last_due_ms(runs, each.generation)
        next_ms = next_due_ms(each.push, each.scheduled_ms, last_ms, now_ms())
        rows.append(
            (
                key,
                each.push.audience,
                each.push.connection,
                "disabled" if not each.push.enabled else each.push.schedule.kind,
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
    from app.pushes.shown import lines_of
    from app.pushes.topic import connected

    async with connected(settings) as topics:
        run = await topics.runs.find(run_id)
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
    from app.pushes.topic import connected
    from rules.time.instants import format_instant

    async with connected(settings) as topics:
        ledger = await topics.runs.read()
    found = ledger.runs if name is None else ledger.of_push(f"{project}/{name}")
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
    from app.publish.author import shell_author
    from app.pushes.topic import connected, request_of

    async with connected(settings) as topics:
        published = await topics.pushes.find(project, name)
        request = request_of("run", project, name, by=shell_author().name, version=published.version)
        await topics.runs.ask(request)
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
    from app.publish.author import shell_author
    from app.pushes.topic import connected, request_of

    async with connected(settings) as topics:
        found = await topics.runs.find(run)
        refused = why_not(found, action)
        if refused:
            raise CommandFailed(refused)
        request = request_of(action, found.project, found.push, run, shell_author().name)
        await topics.runs.ask(request)
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
    from app.pushes.topic import connected

    async with connected(settings) as topics:
        found = await topics.pushes.find(project, name)
        gone = replace(found, version=found.version + 1, deleted=True)
        await topics.pushes.write([(gone, "deleted")])
    typer.echo("\n".join(columns([("deleted", found.push.key, f"version {gone.version}")])))


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
