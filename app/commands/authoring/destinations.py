"""``turnstile destinations``: publish, list and delete destinations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.authoring.changed import tell_changes, tell_rights
from app.commands.options import AsKey, Definitions, DryRun, SettingsFile, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from agents.deliver.definitions.parse_destination import ParsedDestination
    from app.settings.tree import Settings

cli = typer.Typer(help="Publish, list and delete destinations of transitions.", no_args_is_help=True)

Names = Annotated[
    list[str], typer.Argument(metavar="NAME", help="Names of destinations.", show_default=False)
]


@cli.command()
def apply(
    files: Definitions, dry_run: DryRun = False, as_key: AsKey = None, settings: SettingsFile = None
) -> None:
    """Publish destinations, all or none; those that aren't in the files stay as they are."""
    import asyncio

    from app.publish.named.destinations import load_destination_files

    loaded = load_quiet(settings)
    asyncio.run(_apply(loaded, load_destination_files(files), dry_run, as_key))


async def _apply(
    settings: Settings, parsed: Sequence[ParsedDestination], dry_run: bool, key: str | None
) -> None:
    from agents.connections.uses import naming_of
    from app.deliver.topics import generations
    from app.kafka.admin import connected_admin
    from app.publish.author import shell_author
    from app.publish.named.destinations import publish_destinations
    from app.publish.named.rights import usable_by_command
    from app.publish.permitted import check_permitted
    from app.publish.topics import DefinitionTopics

    wanted = [each.destination for each in parsed]
    check_permitted(
        settings, [each for each in wanted if each.connection is None]
    )  # before a broker is asked
    async with connected_admin(settings) as admin:
        topics, known = (
            DefinitionTopics(settings, tells=True),
            await generations(admin, settings.topics.prefix),
        )
        usable, author = usable_by_command(key), shell_author()
        changes, untold = await publish_destinations(topics, parsed, author, usable, known, dry_run=dry_run)
    if untold is not None:
        typer.echo(untold, err=True)
    tell_rights(topics, list(map(naming_of, wanted)), key)
    tell_changes(changes, dry_run=dry_run)


@cli.command("list")
def list_destinations(settings: SettingsFile = None) -> None:
    """List the published destinations."""
    import asyncio

    asyncio.run(_list(load_quiet(settings)))


async def _list(settings: Settings) -> None:
    from app.publish.topics import connected

    async with connected(settings) as topics:
        published = (await topics.read(topics.destinations)).live()
    rows = [
        (
            each.definition.name,
            each.definition.kind,
            f"version {each.version}",
            each.definition.label or each.definition.description,
        )
        for each in published
    ]
    typer.echo("\n".join(columns(rows)) if rows else "no destination is published")


@cli.command()
def delete(names: Names, settings: SettingsFile = None) -> None:
    """Delete destinations, all or none. What wasn't delivered yet won't be; dead letters stay."""
    import asyncio

    asyncio.run(_delete(load_quiet(settings), names))


async def _delete(settings: Settings, names: Sequence[str]) -> None:
    from app.publish.author import shell_author
    from app.publish.named.destinations import delete_destinations
    from app.publish.topics import connected

    async with connected(settings) as topics:
        tell_changes(await delete_destinations(topics, names, shell_author()))
