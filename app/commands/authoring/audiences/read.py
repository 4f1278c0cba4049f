"""``turnstile audiences list``: what is published, how far it is, and how many members it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.options import AsJson, SettingsFile, WorkerKey, WorkerUrl, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from pathlib import Path

    from app.commands.authoring.audiences.published import Known
    from app.publish.audiences import Published
    from app.settings.tree import Settings

HEAD = ("project", "id", "version", "state", "size", "history from", "name")
UNKNOWN = "-"


def list_audiences(
    project: Annotated[
        str | None, typer.Option(help="Only those of this project.", show_default="all projects")
    ] = None,
    url: WorkerUrl = None,
    key: WorkerKey = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """List the published definitions: state, size, and from when on they count where history is short.

    Sizes come from a worker; where none answers they are "-".
    """
    import asyncio

    from app.commands.authoring.audiences.published import read_known
    from app.shown_bytes import safe_json

    known = asyncio.run(read_known(load_quiet(settings)))
    found = list(described(known, project, sizes(known, project, url, key, settings)))
    if as_json:
        typer.echo(safe_json(found))
    elif found:
        typer.echo("\n".join(columns([HEAD, *map(_row, found)])))
    else:
        typer.echo("no audience is published" + (f" in project '{project}'" if project else ""))


def described(
    known: Known, project: str | None, sizes: Mapping[tuple[str, str], int]
) -> Iterator[dict[str, Any]]:
    """The audiences as JSON."""
    from app.commands.authoring.audiences.following.progress_text import counts_text
    from rules.time.instants import format_instant

    for each in known.in_force(project):
        audience, state = each.audience, known.state(each)
        begun = None if state is None else state.history_from_ms
        yield {
            "project": audience.project,
            "id": audience.id,
            "version": each.version,
            "name": audience.name,
            "state": None if state is None else state.state,
            "progress": None if state is None else state.progress,
            "size": sizes.get((audience.project, audience.id)),
            "changes": "" if state is None else counts_text(state),
            "history_from": None if begun is None else format_instant(begun),
        }


def sizes(
    known: Known, project: str | None, url: str | None, key: str | None, settings: Path | None
) -> dict[tuple[str, str], int]:
    """As far as a worker tells them. Why it doesn't is told where somebody named the worker."""
    from app.commands.options import worker_client
    from app.failures import CommandFailed
    from app.worker_client import NotFound, NotReady

    found: dict[tuple[str, str], int] = {}
    for each in known.in_force(project):
        audience = each.audience
        client = worker_client(url, key, audience.project, settings)
        try:
            found[audience.project, audience.id] = client.get("audiences", audience.id, "size")["members"]
        except (NotFound, NotReady):
            continue
        except CommandFailed as error:
            if url is not None:
                typer.echo(f"sizes aren't known: {error}", err=True)
            break
    return found


def _row(audience: Mapping[str, Any]) -> tuple[str, ...]:
    state, size = audience["state"] or UNKNOWN, audience["size"]
    if state == "replaying":
        state = f"{state}, {int(100 * audience['progress'])} %"
    elif state == "held":
        state = f"held: {audience['changes']}"
    return (
        audience["project"],
        audience["id"],
        str(audience["version"]),
        state,
        UNKNOWN if size is None else f"{size:,}",
        audience["history_from"] or UNKNOWN,
        audience["name"],
    )


async def read_published(settings: Settings) -> Published:
    """Everything on the definitions topic. Raises CommandFailed when no broker answers."""
    from app.publish.topics import connected

    async with connected(settings) as topics:
        return (await topics.read(topics.audiences)).published
