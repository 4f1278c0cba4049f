"""``turnstile identities``: which identities several users claim, and who has each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.commands.options import AsJson, SettingsFile, WorkerKey, WorkerUrl, worker_client

if TYPE_CHECKING:
    from app.worker_client import WorkerClient

PAGE: Final = 200


def identities(
    project: Annotated[str, typer.Option(help="The project of the users.")] = "default",
    url: WorkerUrl = None,
    key: WorkerKey = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """List the identities that several users claim; the first user has it, because that claim is newest."""
    from app.shown_bytes import safe, safe_json

    client = worker_client(url, key, project, settings)
    is_any = False
    for each in collisions(client):
        is_any = True
        typer.echo(safe_json(each, indent=None) if as_json else safe(_line(each)))
    if not (is_any or as_json):
        typer.echo("no identity is claimed by several users")


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
