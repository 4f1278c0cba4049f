"""``turnstile topology``: what the program is made of."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.options import SettingsFile


def topology(
    mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid flowchart.")] = False,
    asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="The contract of input and output as AsyncAPI 3 (JSON).")
    ] = False,
    settings: SettingsFile = None,
) -> None:
    """Print the graph of topics, agents and tables for the current settings."""
    if mermaid and asyncapi:
        raise typer.BadParameter("give --mermaid or --asyncapi, not both")
    from app.settings.tree import load_settings
    from app.shown_bytes import safe_json
    from app.topics.topology import as_mermaid, as_text, build_topology

    loaded = load_settings(settings)
    if asyncapi:
        from app.asyncapi.document import asyncapi_of

        typer.echo(safe_json(asyncapi_of(loaded)))
        return
    graph = build_topology(loaded)
    typer.echo(as_mermaid(graph) if mermaid else as_text(graph))
