"""``turnstile keys``: make, list, rotate and revoke API keys while workers and deliverers run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import SettingsFile, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from agents.registry.api_keys import KeyRecord
    from agents.registry.unusable import UnusableRecord
    from app.publish.keys import KnownKeys
    from app.settings.tree import Settings

cli = typer.Typer(help="Make, list, rotate and revoke API keys; no restart is needed.", no_args_is_help=True)

NAME = "1 to 100 of A-Z a-z 0-9 . _ -"
LONGEST_NAME = 100

Name = Annotated[str, typer.Argument(metavar="NAME", help="The key's name.", show_default=False)]


@cli.command()
def create(
    name: Name,
    scope: Annotated[
        list[str],
        typer.Option(
            help="What the key is good for: lookup, audiences, destinations, admin (all). Repeatable."
        ),
    ],
    project: Annotated[
        list[str] | None,
        typer.Option(
            help="Whose data it may see and change; '*' for all projects. Repeatable.", show_default="default"
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            help="Until when it is good: 90d, 12h, or 2027-01-31T00:00:00Z.", show_default="for ever"
        ),
    ] = None,
    no_topic: Annotated[
        bool,
        typer.Option(
            "--no-topic",
            help="Don't publish it: print its entry for http.api_keys, the key on standard error.",
        ),
    ] = False,
    settings: SettingsFile = None,
) -> None:
    """Make a key and print it, this once; it is good within a second."""
    import asyncio
    import json

    from app.http.api_keys import digest_of, new_key

    key = new_key()
    record = _record(
        name, digest_of(key), scope, project or ["default"], expires, time.time_ns() // 1_000_000
    )
    if no_topic:
        from app.failures import CommandFailed

        if record.expires_ms is not None:
            raise CommandFailed("--expires: a key in the settings is good until it is taken out of them")
        entry = {"name": name, "sha256": record.sha256, "scopes": record.scopes, "projects": record.projects}
        typer.echo(key, err=True)
        typer.echo(json.dumps(entry))
        return
    asyncio.run(_create(load_quiet(settings), name, record))
    typer.echo(key)
    projects = ", ".join(record.projects)
    typer.echo(
        f"key '{name}': {', '.join(record.scopes)}; projects: {projects}. It isn't shown again", err=True
    )


@cli.command("list")
def list_keys(settings: SettingsFile = None) -> None:
    """List the keys on the topic, revoked and expired ones too. Those of the settings aren't there."""
    import asyncio

    found = asyncio.run(_read(load_quiet(settings)))
    now_ms = time.time_ns() // 1_000_000
    rows = [_row(name, found[name], now_ms) for name in sorted(found)]
    typer.echo("\n".join(columns(rows)) if rows else "no key was made with `turnstile keys create`")


@cli.command()
def rotate(
    name: Name,
    keep: Annotated[
        str,
        typer.Option(
            help="So long the key before it is good yet, such as 12h; 0s: no earlier key is good any more."
        ),
    ] = "1d",
    settings: SettingsFile = None,
) -> None:
    """Make another key in the place of one, under its name, and print it, this once."""
    import asyncio

    from app.failures import CommandFailed
    from app.http.api_keys import new_key
    from rules.time.durations import parse_duration
    from rules.time.instants import format_instant

    try:
        keep_ms = 0 if keep == "0s" else parse_duration(keep)
    except ValueError:
        raise CommandFailed(f"--keep must be a time such as 12h or 7d, or 0s, got {keep!r}") from None
    key, now_ms = new_key(), time.time_ns() // 1_000_000
    record = asyncio.run(_rotate(load_quiet(settings), name, key, now_ms, keep_ms))
    typer.echo(key)
    until = [each.expires_ms for each in record.rotated]
    before = (
        f"the key before it is good until {format_instant(until[-1])}"
        if until
        else "no earlier key is good any more"
    )
    typer.echo(f"key '{name}': {before}. The new one isn't shown again", err=True)


@cli.command()
def revoke(name: Name, settings: SettingsFile = None) -> None:
    """Revoke a key: nobody gets in with it any more, within a second."""
    import asyncio

    asyncio.run(_revoke(load_quiet(settings), name))
    typer.echo(f"key '{name}' is revoked")


def _record(
    name: str, sha256: str, scopes: Sequence[str], projects: Sequence[str], expires: str | None, now_ms: int
) -> KeyRecord:
    """What is published. Raises CommandFailed with all that is wrong."""
    import re

    import msgspec

    from agents.registry.api_keys import KeyRecord
    from app.commands.times import instant_ms
    from app.failures import CommandFailed
    from rules.parse.problems import name_hint

    faults: list[str] = []
    if not re.fullmatch(rf"[A-Za-z0-9._-]{{1,{LONGEST_NAME}}}", name):
        faults.append(f"NAME must be {NAME}, got {name!r}")
    known = ("lookup", "audiences", "destinations", "admin")
    faults += [f"--scope {each}: {name_hint(each, known)}" for each in scopes if each not in known]
    if not all(0 < len(each) <= 200 and "\0" not in each for each in projects):
        faults.append("--project must have 1 to 200 characters")
    expires_ms = None
    if expires is not None:
        expires_ms = instant_ms(expires, now_ms)
        if expires_ms is None or expires_ms <= now_ms:
            faults.append(
                f"--expires must be a time from now such as 90d, 12h or 30m, or an instant to come such as "
                f"2027-01-31T00:00:00Z, got {expires!r}"
            )
    if faults:
        raise CommandFailed("\n".join(faults))
    given = {"sha256": sha256, "scopes": scopes, "projects": projects}
    return msgspec.convert({**given, "created_ms": now_ms, "expires_ms": expires_ms}, KeyRecord)


async def _create(settings: Settings, name: str, record: KeyRecord) -> None:
    from agents.registry.api_keys import KeyRecord
    from app.failures import CommandFailed
    from app.publish.keys import change_key
    from app.publish.topics import connected

    def decide(keys: KnownKeys) -> KeyRecord:
        before = keys.get(name)
        if isinstance(before, KeyRecord) and not before.revoked:
            raise CommandFailed(
                f"there is a key '{name}' already. `turnstile keys rotate {name}` makes another "
                "one in its place"
            )
        return record

    async with connected(settings) as topics:
        await change_key(topics, name, "created", decide)


async def _read(settings: Settings) -> KnownKeys:
    from app.publish.keys import known_keys
    from app.publish.topics import connected

    async with connected(settings) as topics:
        return await known_keys(topics)


async def _rotate(settings: Settings, name: str, key: str, now_ms: int, keep_ms: int) -> KeyRecord:
    from agents.registry.api_keys import KeyRecord
    from app.failures import CommandFailed
    from app.http.api_keys import digest_of
    from app.publish.keys import change_key
    from app.publish.topics import connected

    def decide(keys: KnownKeys) -> KeyRecord:
        before = _known(keys, name, topics.keys.topic, "rotated by putting another one there")
        mend = f"`turnstile keys create {name}` makes a new one"
        if not isinstance(before, KeyRecord):
            raise CommandFailed(f"the record of key '{name}' can't be read: {before.reason}; {mend}")
        if before.revoked:
            raise CommandFailed(f"key '{name}' is revoked; {mend}")
        if before.expires_ms is not None and before.expires_ms <= now_ms:
            raise CommandFailed(f"key '{name}' has expired; {mend}, once it is revoked")
        return before.rotate(digest_of(key), now_ms, keep_ms)

    async with connected(settings) as topics:
        return await change_key(topics, name, "rotated", decide)


def _known(keys: KnownKeys, name: str, topic: str, in_settings: str) -> KeyRecord | UnusableRecord:
    """Raises CommandFailed where there is none; ``in_settings`` says how it goes with those there."""
    from app.failures import CommandFailed
    from rules.parse.problems import name_hint

    if name in keys:
        return keys[name]
    hint = f"; {name_hint(name, keys)}" if keys else ""
    raise CommandFailed(
        f"there is no key '{name}' on {topic}{hint}. One in the settings (http.api_keys, "
        f"http.api_keys_file) is {in_settings}"
    )


async def _revoke(settings: Settings, name: str) -> None:
    import msgspec

    from agents.registry.api_keys import KeyRecord
    from app.publish.keys import change_key
    from app.publish.topics import connected

    def decide(keys: KnownKeys) -> KeyRecord:
        before = _known(keys, name, topics.keys.topic, "revoked by taking it out of them")
        if not isinstance(before, KeyRecord):  # nobody can read it: write one that nobody can use
            before = KeyRecord("0" * 64, ("lookup",), ("*",), 0)
        return msgspec.structs.replace(before, revoked=True)

    async with connected(settings) as topics:
        await change_key(topics, name, "revoked", decide)


def _row(name: str, key: KeyRecord | UnusableRecord, now_ms: int) -> tuple[str, ...]:
    from agents.registry.api_keys import KeyRecord
    from rules.time.instants import format_instant

    if not isinstance(key, KeyRecord):
        return (name, "unusable", key.reason, "", "", "")
    expires = "" if key.expires_ms is None else f"until {format_instant(key.expires_ms)}"
    state = "revoked" if key.revoked else "good"
    if key.expires_ms is not None and key.expires_ms <= now_ms and not key.revoked:
        state = "expired"
    rotated = [each.expires_ms for each in key.rotated if each.expires_ms > now_ms]
    before = f"the one before it until {format_instant(max(rotated))}" if rotated and state == "good" else ""
    return (name, state, ", ".join(key.scopes), f"projects: {', '.join(key.projects)}", expires, before)
