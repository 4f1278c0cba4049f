"""``turnstile settings``: the settings in force."""

from __future__ import annotations

import typer

from app.commands.options import SettingsFile


def settings(settings: SettingsFile = None) -> None:
    """Print the settings in force as YAML, each with its source; secrets are masked."""
    from app.settings.text import as_yaml
    from app.settings.tree import load_with_sources

    typer.echo(as_yaml(load_with_sources(settings)), nl=False)
