"""``turnstile erase``: a user is forgotten. ``turnstile erasures``: receipts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.commands.options import AsJson, Project, SettingsFile, UserName, WorkerKey, WorkerUrl, worker_client

if TYPE_CHECKING:
    from app.worker_client import WorkerClient

POLL_SECONDS: Final = 0.5
WAIT_SECONDS: Final = 600.0

cli = typer.Typer(help="Receipts of erasures.", no_args_is_help=True)


def erase(
    user: UserName,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the user is erased, and print the receipt.")
    ] = False,
    project: Project = "default",
    url: WorkerUrl = None,
    key: WorkerKey = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Erase a user: exits with the cause delete, and nothing stays but a receipt.

    The key needs the scope admin.
    """
    from app.shown_bytes import safe_json

    client = worker_client(url, key, project, settings)
    asked = client.delete("users", user)
    if wait:
        _print(_receipt(client, asked["id"]), as_json)
    elif as_json:
        typer.echo(safe_json(asked))
    else:
        typer.echo(f"asked for; `turnstile erasures show {asked['id']}` prints the receipt")


@cli.command("show")
def show(
    erasure: Annotated[str, typer.Argument(help="Id that `turnstile erase` printed.")],
    project: Project = "default",
    url: WorkerUrl = None,
    key: WorkerKey = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Print the receipt of an erasure: every place, and when it is clean."""
    _print(worker_client(url, key, project, settings).get("erasures", erasure), as_json)


@cli.command("of")
def of_user(
    user: UserName,
    project: Project = "default",
    url: WorkerUrl = None,
    key: WorkerKey = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Print the receipt of a user's last erasure, whoever asked for it."""
    _print(worker_client(url, key, project, settings).get("users", user, "erasure"), as_json)


@cli.command("rewrite")
def rewrite(settings: SettingsFile = None) -> None:
    """Write history and dead-letter topics again without the users who were erased.

    No import may be under way. A computation that reads the history has to begin again.
    """
    import asyncio

    from app.commands.options import load_quiet
    from app.rewriting import rewrite as rewriting

    async def run() -> None:
        async for each in rewriting.rewrite(load_quiet(settings)):
            typer.echo(f"{each.topic}: {each.left_out} records are gone")

    asyncio.run(run())


def _receipt(client: WorkerClient, erasure: str) -> Any:
    """Wait for a receipt. Raises CommandFailed."""
    from app.failures import CommandFailed
    from app.worker_client import NotFound, NotNow

    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return client.get("erasures", erasure)
        except (NotFound, NotNow) as error:
            if time.monotonic() > deadline:
                raise CommandFailed(f"the user isn't erased after {WAIT_SECONDS:.0f} s: {error}") from None
        time.sleep(POLL_SECONDS)


def _print(receipt: Any, as_json: bool) -> None:
    from app.commands.output import columns
    from app.shown_bytes import safe_json

    if as_json:
        typer.echo(safe_json(receipt))
        return
    typer.echo(
        f"erased {receipt['erased_at']}, pseudonym {receipt['user']}, partition {receipt['partition']}"
    )
    rows = [(each["place"], each["clean_at"] or "not known when", each["how"]) for each in receipt["places"]]
    typer.echo("\n".join(columns(rows)))
