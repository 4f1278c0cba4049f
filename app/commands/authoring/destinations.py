"""``turnstile destinations``: publish, list and delete destinations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import Definitions, SettingsFile, load_quiet
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
    files: Definitions,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and stop.")] = False,
    settings: SettingsFile = None,
) -> None:
    """Publish destinations, all or none; those that aren't in the files stay as they are."""
    import asyncio

    from app.publish.destinations import load_destination_files

    loaded = load_quiet(settings)
    asyncio.run(_apply(loaded, load_destination_files(files), dry_run))


async def _apply(settings: Settings, parsed: Sequence[ParsedDestination], dry_run: bool) -> None:
    from agents.connections.check import resolved_all
    from agents.deliver.definitions.published import plan_changes
    from app.deliver.topics import generations
    from app.publish.audiences import AudiencesTopic
    from app.publish.connections import ConnectionsTopic
    from app.publish.destinations import connected
    from app.publish.permitted import check_audiences, check_permitted

    wanted = [each.destination for each in parsed]
    whole = [each for each in wanted if each.connection is None]
    _tell(check_permitted(settings, whole))  # before a broker is asked
    async with connected(settings) as topic:
        if len(whole) < len(wanted):
            connections = await ConnectionsTopic(settings, topic.admin).read()
            found = resolved_all(parsed, connections)
            _tell(check_permitted(settings, [each for each in found if each.connection is not None]))
        check_audiences(wanted, await AudiencesTopic(settings, topic.admin).read())
        published, prefix = await topic.read(), settings.topics.prefix
        changes = plan_changes(
            published, wanted, topic.unusable_versions, await generations(topic.admin, prefix)
        )
        if not dry_run:
            await topic.write(
                [(each.published, each.action) for each in changes if each.action != "unchanged"]
            )
    rows = [
        (each.action, each.published.destination.name, f"version {each.published.version}")
        for each in changes
    ]
    lines = list(columns(rows))
    if dry_run:
        lines.append("dry run: nothing was published")
    typer.echo("\n".join(lines))


def _tell(unknown: str | None) -> None:
    if unknown is not None:
        typer.echo(unknown, err=True)


@cli.command("list")
def list_destinations(settings: SettingsFile = None) -> None:
    """List the published destinations."""
    import asyncio

    asyncio.run(_list(load_quiet(settings)))


async def _list(settings: Settings) -> None:
    from app.publish.destinations import connected

    async with connected(settings) as topic:
        published = await topic.read()
    rows = [
        (
            name,
            each.destination.kind,
            f"version {each.version}",
            each.destination.label or each.destination.description,
        )
        for name, each in sorted(published.items())
        if not each.deleted
    ]
    typer.echo("\n".join(columns(rows)) if rows else "no destination is published")


@cli.command()
def delete(names: Names, settings: SettingsFile = None) -> None:
    """Delete destinations, all or none. What wasn't delivered yet won't be; dead letters stay."""
    import asyncio

    asyncio.run(_delete(load_quiet(settings), names))


async def _delete(settings: Settings, names: Sequence[str]) -> None:
    from app.publish.destinations import connected

    async with connected(settings) as topic:
        found = [await topic.find(name) for name in dict.fromkeys(names)]
        await topic.write(
            [(replace(each, version=each.version + 1, deleted=True), "deleted") for each in found]
        )
    rows = [("deleted", each.destination.name, f"version {each.version + 1}") for each in found]
    typer.echo("\n".join(columns(rows)))
