"""``turnstile lookup``: the audiences that a user is in, or whether the user is in some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.options import (
    AsJson,
    By,
    Project,
    SettingsFile,
    UserName,
    WorkerKey,
    WorkerUrl,
    user_named,
    worker_client,
)

if TYPE_CHECKING:
    from app.worker_client import WorkerClient

OUTSIDE = 1
"""Exit code when the user isn't in all of the audiences asked about."""


def lookup(
    user: UserName,
    audiences: Annotated[
        list[str] | None,
        typer.Argument(metavar="[AUDIENCE...]", help="Ids of audiences; by default all that the user is in."),
    ] = None,
    project: Project = "default",
    by: By = None,
    attributes: Annotated[
        bool, typer.Option("--attributes", help="Print the user's attributes as well; not with AUDIENCE.")
    ] = False,
    url: WorkerUrl = None,
    key: WorkerKey = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """List the audiences that a user is in; or say of some whether the user is: exit code 1 if not in all."""
    from app.commands.output import columns
    from app.shown_bytes import safe, safe_json

    if audiences and attributes:
        raise typer.BadParameter("goes without audiences: it prints the user", param_hint="--attributes")

    client = worker_client(url, key, project, settings)
    named, query = user_named(user, by)
    rows: list[tuple[str, ...]]
    body: Any
    if audiences:
        body = _members(client, named, query, audiences)
        rows = [(each["audience"], "in" if each["member"] else "out", *_stay(each)) for each in body]
    else:
        body = client.get("users", named, *(() if attributes else ("audiences",)), query=query)
        rows = [(each["id"], *_stay(each)) for each in body["audiences"]]
    if as_json:
        typer.echo(safe_json(body))
    else:
        typer.echo("\n".join(columns(rows)) if rows else "in no audience")
        for name, value in sorted(body["attributes"].items()) if attributes else ():
            typer.echo(f"{safe(name)}: {safe_json(value, indent=None)}")
    if audiences and not all(each["member"] for each in body):
        raise typer.Exit(OUTSIDE)


def _members(
    client: WorkerClient, user: str, query: dict[str, str], audiences: list[str]
) -> list[dict[str, Any]]:
    """What is known of each audience; unknown ones are told all at once."""
    from app.failures import CommandFailed
    from app.worker_client import NotFound

    found: list[dict[str, Any]] = []
    faults: list[str] = []
    for audience in dict.fromkeys(audiences):
        try:
            member = client.get("audiences", audience, "members", user, query=query)
            found.append({"audience": audience, **member})
        except NotFound as error:
            faults.append(str(error))
    if faults:
        raise CommandFailed("\n".join(faults))
    return found


def _stay(found: dict[str, Any]) -> tuple[str, str]:
    since, exit_at = found["since"], found["exit_at"]
    if since is None:
        return "", ""
    return f"since {since}", f"until {exit_at}" if exit_at else "not left by time alone"
