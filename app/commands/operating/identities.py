"""``turnstile identities``: which identities several users claim, and who has each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.commands.options import AsJson, Project, SettingsFile, WorkerKey, WorkerUrl, worker_client

if TYPE_CHECKING:
    from app.worker_client import WorkerClient

PAGE: Final = 200


cli = typer.Typer(
    help="Which identities several users claim. With `rebuild`: claim what rows have.",
    invoke_without_command=True,
)


@cli.callback()
def identities(
    context: typer.Context,
    project: Annotated[str, typer.Option(help="The project of the users.")] = "default",
    url: WorkerUrl = None,
    key: WorkerKey = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """List the identities that several users claim; the first user has it, because that claim is newest."""
    if context.invoked_subcommand is not None:
        return
    from app.shown_bytes import safe, safe_json

    client = worker_client(url, key, project, settings)
    is_any = False
    for each in collisions(client):
        is_any = True
        typer.echo(safe_json(each, indent=None) if as_json else safe(_line(each)))
    if not (is_any or as_json):
        typer.echo("no identity is claimed by several users")


@cli.command("rebuild")
def rebuild(
    project: Project = "default",
    url: WorkerUrl = None,
    key: WorkerKey = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Claim the identities that rows have, where they aren't claimed yet. The key needs the scope admin.

    Once after the update from a version without claims, and when `<prefix>.identities` was made again. It may
    be stopped and given again at any time; workers go on meanwhile.
    """
    from app.shown_bytes import safe_json

    client = worker_client(url, key, project, settings)
    rows = claims = 0
    query: dict[str, str] = {}
    while True:
        page = client.patiently("identities:rebuild", query=query, method="POST")
        rows, claims = rows + page["rows"], claims + page["claims"]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    if as_json:
        typer.echo(safe_json({"rows": rows, "claims": claims}))
    else:
        typer.echo(f"{rows:,} rows were looked at, and {claims:,} claims written")


def collisions(client: WorkerClient) -> Iterator[dict[str, Any]]:
    """Each as ``{identity, claimants, claims: [{user_id, time}]}``. Raises CommandFailed."""
    query = {"limit": str(PAGE)}
    while True:
        page = client.patiently("identities", "collisions", query=query)
        yield from page["collisions"]
        if page["next"] is None:
            return
        query["after"] = page["next"]


def _line(collision: Mapping[str, Any]) -> str:
    ((namespace, value),) = collision["identity"].items()
    first, *others = collision["claims"]
    more = collision["claimants"] - len(collision["claims"])
    also = ", ".join(f"{each['user_id']} ({each['time']})" for each in others)
    rest = f" and {more:,} more" if more > 0 else ""
    return f"{namespace} {value}: {first['user_id']} since {first['time']}; also claimed by {also}{rest}"
