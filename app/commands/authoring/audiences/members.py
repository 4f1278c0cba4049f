"""``turnstile audiences members``: who is in an audience."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO

import typer

from app.commands.options import AsJson, SettingsFile, WorkerKey, WorkerUrl, worker_client

if TYPE_CHECKING:
    from app.worker_client import WorkerClient

PAGE: Final = 1_000


def members(
    audience: Annotated[str, typer.Argument(metavar="ID", help="The id of an audience.", show_default=False)],
    project: Annotated[str, typer.Option(help="The project of the audience.")] = "default",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write JSON lines there; the file appears when all are in it."),
    ] = None,
    url: WorkerUrl = None,
    key: WorkerKey = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """List the members of an audience, page by page, from a worker: who, since when, until when."""
    import json

    from app.shown_bytes import safe, safe_json

    client = worker_client(url, key, project, settings)
    found = all_members(client, audience)
    if out is None:
        for each in found:
            typer.echo(safe_json(each, indent=None) if as_json else safe(_line(each)))
        return
    count = 0
    with _whole_file(out) as file:
        for each in found:
            file.write(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n")
            count += 1
    typer.echo(f"{count:,} members are in {out}", err=True)


def all_members(client: WorkerClient, audience: str) -> Iterator[dict[str, Any]]:
    """Each as ``{user_id, since, exit_at, version}``. Raises NotFound, CommandFailed."""
    query = {"limit": str(PAGE)}
    while True:
        page = client.patiently("audiences", audience, "members", query=query)
        yield from page["members"]
        if page["next"] is None:
            return
        query["after"] = page["next"]


def _line(member: Mapping[str, Any]) -> str:
    until = f"until {member['exit_at']}" if member["exit_at"] else "not left by time alone"
    return f"{member['user_id']}  since {member['since']}  {until}"


@contextmanager
def _whole_file(path: Path) -> Iterator[TextIO]:
    """A file that takes the name when it is complete. Raises CommandFailed where it can't be written."""
    from app.failures import CommandFailed

    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        raise CommandFailed(f"{path} can't be written: {error}") from None
    finally:
        part.unlink(missing_ok=True)
