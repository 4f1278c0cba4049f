"""``turnstile settings``: the settings in force."""

from __future__ import annotations

import typer

from app.commands.options import SettingsFile


def settings(settings: SettingsFile = None) -> None:
    """Print the settings in force as YAML, each with its source; secrets are masked."""
    from agents.evaluate.native.core import CoreMissing
    from agents.evaluate.native.engine import Engine
    from app.settings.text import as_yaml
    from app.settings.tree import load_with_sources

    loaded = load_with_sources(settings)
    try:
        computes = str(Engine(loaded.settings.worker.engine))
    except CoreMissing as missing:
        computes = f"a worker can't start: {missing}"
    typer.echo(as_yaml(loaded, {"worker.engine": computes}), nl=False)
