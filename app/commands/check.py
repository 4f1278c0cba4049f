"""``turnstile check``: definitions, and everything that is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from app.commands.options import Definitions, SettingsFile

INVALID = 1


def check(files: Definitions, settings: SettingsFile = None) -> None:
    """Check definitions: every error with its file, line and column; exit code 1 when there are any."""
    from app.definition_files import load_audiences
    from rules.problems import DefinitionsInvalid

    try:
        audiences = load_audiences(files, _max_samples(settings))
    except DefinitionsInvalid as invalid:
        typer.echo(str(invalid), err=True)
        count = len(invalid.problems)
        typer.echo("1 problem" if count == 1 else f"{count} problems", err=True)
        raise typer.Exit(INVALID) from None
    count = len(audiences)
    typer.echo("1 audience, no problem" if count == 1 else f"{count} audiences, no problem")


def _max_samples(settings: Path | None) -> int:
    """``state.max_samples``; where nothing is set the settings, slow to import, aren't loaded for it."""
    from rules.parse import MAX_SAMPLES

    if settings is None and not any(name.startswith("TURNSTILE_") for name in os.environ):
        return MAX_SAMPLES
    from app.settings import load_settings

    return load_settings(settings).state.max_samples
