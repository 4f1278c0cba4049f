"""Options that several commands have, and what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from app.settings.tree import Settings
    from app.worker_client import WorkerClient

SettingsFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="YAML file of settings; by default the one that TURNSTILE_SETTINGS_FILE names",
    ),
]

Definitions: TypeAlias = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE|DIR...",
        help="Definition files, folders of them, or - for standard input",
        show_default=False,
    ),
]

WorkerUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--url", help="A worker's URL; any worker answers for any user (default: deliver.lookup_url)"
    ),
]
WorkerKey: TypeAlias = Annotated[
    str | None,
    typer.Option("--key", help="API key with the scope lookup (default: deliver.lookup_key)"),
]
Project: TypeAlias = Annotated[str, typer.Option("--project", help="The project of the user.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
UserId: TypeAlias = Annotated[str, typer.Argument(metavar="USER", help="A user id.", show_default=False)]


def worker_client(url: str | None, key: str | None, project: str, settings_file: Path | None) -> WorkerClient:
    """The worker that options and settings name."""
    from app.worker_client import WorkerClient

    loaded = load_quiet(settings_file)
    deliver = loaded.deliver
    known = deliver.lookup_key.get_secret_value() if deliver.lookup_key is not None else None
    # A key is for the worker it was set for, not for whatever --url names.
    key = key or (known if url is None else None)
    return WorkerClient(url or deliver.lookup_url, key, project, loaded.http.tls_ca_file)


def load_quiet(file: SettingsFile) -> Settings:
    """The settings, with logs for a command: errors only, unless the level is debug."""
    from app.logs import configure_logs
    from app.settings.tree import load_settings

    settings = load_settings(file)
    level = "debug" if settings.logs.level == "debug" else "error"
    configure_logs(settings.logs.model_copy(update={"level": level}))
    return settings
