"""``turnstile connections``: publish, list, show, test and delete connections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.authoring.changed import tell_changes
from app.commands.options import Definitions, DryRun, SettingsFile, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from agents.connections.connection import Connection
    from agents.connections.published import Connections, PublishedConnection
    from app.deliver.connections.trial import ConnectionTestResult
    from app.settings.tree import Settings

UNREACHABLE = 1

cli = typer.Typer(help="Publish, list, show, test and delete connections.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a connection.", show_default=False)]
Project = Annotated[str, typer.Option("--project", help="The project of the connection.")]


@cli.command()
def apply(files: Definitions, dry_run: DryRun = False, settings: SettingsFile = None) -> None:
    """Publish connections, all or none; those that aren't in the files stay as they are."""
    import asyncio

    from app.publish.named.connections import load_connection_files

    loaded = load_quiet(settings)
    asyncio.run(_apply(loaded, load_connection_files(files), dry_run))


async def _apply(settings: Settings, wanted: Sequence[Connection], dry_run: bool) -> None:
    from app.publish.author import shell_author
    from app.publish.named.connections import check_secrets, publish_connections
    from app.publish.topics import connected

    unknown = check_secrets(settings, wanted)
    if unknown is not None:
        typer.echo(unknown, err=True)
    async with connected(settings) as topics:
        tell_changes(
            await publish_connections(topics, wanted, shell_author(), dry_run=dry_run), dry_run=dry_run
        )


@cli.command("list")
def list_connections(settings: SettingsFile = None) -> None:
    """List the published connections."""
    import asyncio

    from app.shown_bytes import safe

    found = asyncio.run(_read(load_quiet(settings)))
    rows = [
        (each.definition.key, each.definition.kind, f"version {each.version}", safe(each.definition.label))
        for each in found
    ]
    typer.echo("\n".join(columns(rows)) if rows else "no connection is published")


async def _read(settings: Settings) -> list[PublishedConnection]:
    from app.publish.topics import connected

    async with connected(settings) as topics:
        return (await topics.read(topics.connections)).live()


@cli.command()
def show(name: Name, project: Project = "default", settings: SettingsFile = None) -> None:
    """Print a connection as JSON: its definition, its version, and what uses it."""
    import asyncio

    import msgspec

    from app.shown_bytes import safe_json

    shown = asyncio.run(_show(load_quiet(settings), project, name))
    typer.echo(safe_json(msgspec.to_builtins(shown)))


async def _show(settings: Settings, project: str, name: str) -> dict[str, object]:
    from app.publish.named.changes import present
    from app.publish.named.connections import references
    from app.publish.topics import connected

    async with connected(settings) as topics:
        found = present(await topics.read(topics.connections), name, project)
        used_by = await references(topics, [found.definition])
    return {
        "version": found.version,
        "definition": found.definition.document,
        "used_by": [
            {"kind": e.kind, "project": e.project, "name": e.name} for e in used_by[found.definition.key]
        ],
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
    from app.publish.named.changes import present
    from app.publish.named.connections import load_connection_files
    from app.publish.topics import connected
    from rules.parse.problems import name_hint

    if file is None:
        async with connected(settings) as topics:
            connection = present(await topics.read(topics.connections), name, project).definition
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

    asyncio.run(_delete(load_quiet(settings), project, names))


async def _delete(settings: Settings, project: str, names: Sequence[str]) -> None:
    from app.publish.author import shell_author
    from app.publish.named.changes import present
    from app.publish.named.connections import delete_connections
    from app.publish.topics import connected

    def choose(known: Connections) -> list[PublishedConnection]:
        return [present(known, name, project) for name in dict.fromkeys(names)]

    async with connected(settings) as topics:
        tell_changes(await delete_connections(topics, choose, shell_author()))
