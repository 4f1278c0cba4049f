"""``turnstile audit``: who changed what and when."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import SettingsFile, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from agents.registry.audit import AuditRecord
    from app.settings.tree import Settings


def audit(
    since: Annotated[
        str | None,
        typer.Option(
            help="From when on: 7d (ago), or 2027-01-31T00:00:00Z.", show_default="all that is kept"
        ),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(help="Only changes that concern this project.", show_default="all projects"),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print JSON, a line for each change.")] = False,
    settings: SettingsFile = None,
) -> None:
    """Print the changes of definitions, destinations and API keys, the oldest first."""
    import asyncio

    import msgspec

    from app.commands.times import instant_ms
    from app.failures import CommandFailed
    from app.shown_bytes import safe

    since_ms = 0
    if since is not None:
        found = instant_ms(since, time.time_ns() // 1_000_000, ago=True)
        if found is None:
            raise CommandFailed(
                f"--since must be a time that has passed such as 7d or 12h, or an instant such as "
                f"2027-01-31T00:00:00Z, got {since!r}"
            )
        since_ms = found
    changes = asyncio.run(_read(load_quiet(settings)))
    wanted = [each for each in changes if _is_wanted(each, since_ms, project)]
    if json_lines:
        for each in wanted:
            typer.echo(safe(msgspec.json.encode(each).decode()))
    elif wanted:
        typer.echo("\n".join(columns(rows(wanted))))
    else:
        typer.echo("no change is known" if not changes else "no such change is known")


async def _read(settings: Settings) -> Sequence[AuditRecord]:
    """Raises CommandFailed when no broker answers. What isn't a change is told on standard error."""
    from agents.kafka.clients import new_consumer
    from agents.registry.audit import AuditRecord, read_audit
    from agents.topics import existing
    from app.failures import tell_unusable
    from app.kafka.admin import connected_admin
    from app.kafka.configured import broker_of, plan_of

    topic = plan_of(settings).audit
    async with connected_admin(settings) as admin:
        if topic not in await existing(admin):
            return []
        async with new_consumer(broker_of(settings)) as consumer:
            found = [each async for each in read_audit(consumer, topic)]
    tell_unusable(each for each in found if not isinstance(each, AuditRecord))
    return [each for each in found if isinstance(each, AuditRecord)]


def _is_wanted(change: AuditRecord, since_ms: int, project: str | None) -> bool:
    from agents.registry.audit import EVERY_PROJECT
    from rules.time.instants import parse_instant

    if project is not None and change.project not in (project, EVERY_PROJECT):
        return False
    return parse_instant(change.at) >= since_ms


def rows(changes: Iterable[AuditRecord]) -> Iterable[tuple[str, ...]]:
    """When, who, which way, what, and to which version."""
    from msgspec import UNSET

    for each in changes:
        version = "" if each.version is UNSET else f"version {each.version}"
        if each.from_version is not UNSET:
            version += f", as version {each.from_version}"
        name = each.id if each.kind == "destination" else f"{each.project}/{each.id}"
        yield each.at, each.by or "-", each.via, each.action, each.kind, name, version
