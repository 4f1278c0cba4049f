"""How commands tell what they changed, whatever kind of definition it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from app.commands.output import columns

if TYPE_CHECKING:
    from agents.connections.uses import Naming
    from agents.registry.definitions import DefinitionChange
    from app.publish.topics import DefinitionTopics


def tell_changes(changes: Sequence[DefinitionChange[Any]], *, dry_run: bool = False) -> None:
    """A line for each."""
    rows = [
        (each.action, each.published.definition.key, f"version {each.published.version}") for each in changes
    ]
    lines = [*columns(rows), *(["dry run: nothing was published"] if dry_run else [])]
    typer.echo("\n".join(lines))


def tell_rights(topics: DefinitionTopics, namings: Sequence[Naming], key: str | None) -> None:
    """Say on standard error which connections are for some keys alone, where a command named none."""
    if key is not None:
        return
    for each in topics.connections.live():
        connection = each.definition
        if connection.use.keys is not None and any(naming.names(connection) for naming in namings):
            told = ", ".join(sorted(connection.use.keys)) or "none"
            typer.echo(
                f"connection '{connection.key}' is for some API keys alone ({told}). "
                "This command has all rights; with --as KEY it has those of a key",
                err=True,
            )
