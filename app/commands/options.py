"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

SettingsFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="YAML file of settings; else the one that TURNSTILE_SETTINGS_FILE names",
    ),
]

Definitions: TypeAlias = Annotated[
    list[Path],
    typer.Argument(metavar="FILE|DIR...", help="Definition files, and folders of them", show_default=False),
]
