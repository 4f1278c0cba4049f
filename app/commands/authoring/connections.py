"""``turnstile connections``: publish, list, show, test and delete connections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import Definitions, SettingsFile, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from agents.connections.connection import Connection
    from agents.connections.published import PublishedConnection
    from app.deliver.connections.trial import ConnectionTestResult
    from app.settings.tree import Settings

UNREACHABLE = 1

cli = typer.Typer(help="Publish, list, show, test and delete connections.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a connection.", show_default=False)]
Project = Annotated[str, typer.Option("--project", help="The project of the connection.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and stop.")]


@cli.command()
def apply(files: Definitions, dry_run: DryRun = False, settings: SettingsFile = None) -> None:
    """Publish connections, all or none; those that aren't in the files stay as they are."""
    import asyncio

    from app.publish.connections import load_connection_files

    loaded = load_quiet(settings)
    asyncio.run(_apply(loaded, load_connection_files(files), dry_run))


async def _apply(settings: Settings, wanted: Sequence[Connection], dry_run: bool) -> None:
    from app.publish.connected_uses import check_connections, check_uses
    from app.publish.connections import connected, plan_connections

    unknown = check_connections(settings, wanted)
    if unknown is not None:
        typer.echo(unknown, err=True)
    async with connected(settings) as topic:
        published = await topic.read()
        await check_uses(topic, wanted, published)
        changes = plan_connections(published, wanted, topic.unusable_versions)
        if not dry_run:
            await topic.write(
                [(each.published, each.action) for each in changes if each.action != "unchanged"]
            )
    rows = [
        (each.action, each.published.connection.id, f"version {each.published.version}") for each in changes
    ]
    lines = list(columns(rows))
    if dry_run:
        lines.append("dry run: nothing was published")
    typer.echo("\n".join(lines))


@cli.command("list")
def list_connections(settings: SettingsFile = None) -> None:
    """List the published connections."""
    import asyncio

    from app.shown_bytes import safe

    found = asyncio.run(_read(load_quiet(settings)))
    rows = [
        (each.connection.id, each.connection.kind, f"version {each.version}", safe(each.connection.label))
        for each in found
    ]
    typer.echo("\n".join(columns(rows)) if rows else "no connection is published")


async def _read(settings: Settings) -> list[PublishedConnection]:
    from app.publish.connections import connected

    async with connected(settings) as topic:
        return [each for _, each in sorted((await topic.read()).items()) if not each.deleted]


@cli.command()
def show(name: Name, project: Project = "default", settings: SettingsFile = None) -> None:
    """Print a connection as JSON: its definition, its version, and what uses it."""
    import asyncio

    import msgspec

    from app.shown_bytes import safe_json

    shown = asyncio.run(_show(load_quiet(settings), project, name))
    typer.echo(safe_json(msgspec.to_builtins(shown)))


async def _show(settings: Settings, project: str, name: str) -> dict[str, object]:
    from app.publish.connected_uses import references
    from app.publish.connections import connected

    async with connected(settings) as topic:
        found = await topic.find(project, name)
        used_by = await references(topic, found.connection)
    return {
        "version": found.version,
        "definition": found.connection.document,
        "used_by": [{"kind": e.kind, "project": e.project, "name": e.name} for e in used_by],
    }


@cli.command("test")
def trial(
    name: Name,
    project: Project = "default",
    hub: Annotated[
        str | None, typer.Option(help="The hub to ask, of an Event Hubs namespace.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A definition that isn't published yet.")
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Connect from here, once; print what was found or what is wrong. Exit code 1 if something is."""
    import asyncio

    import msgspec

    from app.shown_bytes import safe_json

    result = asyncio.run(_test(load_quiet(settings), project, name, hub, file))
    typer.echo(safe_json(msgspec.to_builtins(result)))
    if not result.ok:
        raise typer.Exit(UNREACHABLE)


async def _test(
    settings: Settings, project: str, name: str, hub: str | None, file: Path | None
) -> ConnectionTestResult:
    from app.deliver.connections.trial import ConnectionTest, try_connection
    from app.failures import CommandFailed
    from app.publish.connections import connected, load_connection_files
    from rules.parse.problems import name_hint

    if file is None:
        async with connected(settings) as topic:
            connection = (await topic.find(project, name)).connection
    else:
        known = {each.name: each for each in load_connection_files([file]) if each.project == project}
        if name not in known:
            hint = name_hint(name, known) if known else f"it has none of project '{project}'"
            raise CommandFailed(f"there is no connection '{name}' in {file}; {hint}")
        connection = known[name]
    return await try_connection(settings, connection, ConnectionTest(hub))


@cli.command()
def delete(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="Names of connections.", show_default=False)
    ],
    project: Project = "default",
    settings: SettingsFile = None,
) -> None:
    """Delete connections, all or none. One that destinations or pushes name stays."""
    import asyncio

    deleted = asyncio.run(_delete(load_quiet(settings), project, names))
    typer.echo(
        "\n".join(columns([("deleted", each.connection.id, f"version {each.version}") for each in deleted]))
    )


async def _delete(settings: Settings, project: str, names: Sequence[str]) -> list[PublishedConnection]:
    from app.publish.connected_uses import check_unused
    from app.publish.connections import connected, deleted, found_in

    async with connected(settings) as topic:
        published = await topic.read()
        found = [found_in(published, project, name) for name in dict.fromkeys(names)]
        await check_unused(topic, [each.connection for each in found])
        gone = [deleted(each) for each in found]
        await topic.write([(each, "deleted") for each in gone])
    return gone
