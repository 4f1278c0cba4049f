"""Options that several commands have, and what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from agents.evaluate.native.engine import Engine
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

DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and stop.")]
AsKey: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="KEY",
        help="Name only connections that the API key of this name may use.",
        show_default="all rights",
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
EngineName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="auto|native|python",
        help="What computes: the native core, or Python alone (default: worker.engine)",
    ),
]
UserName: TypeAlias = Annotated[
    str, typer.Argument(metavar="USER", help="A user id, or with --by an identity.", show_default=False)
]
By: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--by", metavar="NAMESPACE", help="The user is named by an identity of this namespace, such as email."
    ),
]


def worker_client(url: str | None, key: str | None, project: str, settings_file: Path | None) -> WorkerClient:
    """The worker that options and settings name."""
    from app.worker_client import WorkerClient

    loaded = load_quiet(settings_file)
    deliver = loaded.deliver
    known = deliver.lookup_key.get_secret_value() if deliver.lookup_key is not None else None
    # A key is for the worker it was set for, not for whatever --url names.
    key = key or (known if url is None else None)
    return WorkerClient(url or deliver.lookup_url, key, project, loaded.http.tls_ca_file)


def user_named(user: str, by: str | None) -> tuple[str, dict[str, str]]:
    """What stands for a user in a path, and in the query. Raises CommandFailed."""
    from app.failures import CommandFailed

    if by is None:
        return user, {}
    if not by or ":" in by:
        raise CommandFailed(f"a namespace (--by) is a name without a colon, such as email, not {by!r}")
    if not user:
        raise CommandFailed("an identity can't be empty")
    return f"{by}:{user}", {"by": "identity"}


def load_quiet(file: SettingsFile) -> Settings:
    """The settings, with logs for a command: errors only, unless the level is debug."""
    from app.logs import configure_logs
    from app.settings.tree import load_settings

    settings = load_settings(file)
    level = "debug" if settings.logs.level == "debug" else "error"
    configure_logs(settings.logs.model_copy(update={"level": level}))
    return settings


def engine_of(name: EngineName, settings: Settings) -> Engine:
    """The engine that an option names, otherwise the settings. Raises CommandFailed, CoreMissing."""
    from typing import get_args

    from agents.evaluate.native.engine import Engine, Wanted
    from app.failures import CommandFailed

    for wanted in get_args(Wanted):
        if wanted == (name or settings.worker.engine):
            return Engine(wanted)
    raise CommandFailed(f"--engine must be {', '.join(get_args(Wanted)[:-1])} or {get_args(Wanted)[-1]}")
