"""``turnstile topology``: what the program is made of."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.options import SettingsFile


def topology(
    mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid flowchart.")] = False,
    settings: SettingsFile = None,
) -> None:
    """Print the graph of topics, agents and tables for the current settings."""
    from app.settings.tree import load_settings
    from app.topics.topology import as_mermaid, as_text, build_topology

    graph = build_topology(load_settings(settings))
    typer.echo(as_mermaid(graph) if mermaid else as_text(graph))
