"""``turnstile deliver``: delivery workers, test sends, replays, status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from app.commands.options import SettingsFile, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from agents.deliver.definitions.published import PublishedDestination
    from app.deliver.replay import Replayed
    from app.deliver.trial import TestSend, TestSendResult
    from app.settings.tree import Settings

FAILED = 1

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a destination.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class _RunByDefault(TyperGroup):
    """``turnstile deliver crm`` and ``turnstile deliver`` mean ``turnstile deliver run …``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = ["run", *args]
        return super().parse_args(ctx, args)


cli = typer.Typer(
    cls=_RunByDefault,
    help="Deliver transitions: `turnstile deliver [NAME...]`, to all destinations or to those named.",
)


@cli.command()
def run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Only these destinations.", show_default="all")
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Deliver until SIGTERM or Ctrl-C. `turnstile deliver [NAME...]` is the same."""
    import asyncio

    from aiokafka.errors import KafkaConnectionError

    from app.deliver.service import run as deliver
    from app.kafka.admin import unreachable
    from app.logs import configure_logs
    from app.settings.tree import load_settings

    loaded = load_settings(settings)
    configure_logs(loaded.logs)
    try:
        asyncio.run(deliver(loaded, names or ()))
    except KafkaConnectionError as error:
        raise asyncio.run(unreachable(loaded, error)) from None


@cli.command("test")
def trial(
    name: Name,
    user: Annotated[str, typer.Option(help="The user id to send.")] = "turnstile-test",
    audience: Annotated[
        str | None, typer.Option(help="Id of an audience.", show_default="its first, by name")
    ] = None,
    event: Annotated[str, typer.Option(help="enter or exit.")] = "enter",
    attributes: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="The user's attributes, instead of asking a worker."),
    ] = None,
    identities: Annotated[str | None, typer.Option(metavar="JSON", help="Likewise the identities.")] = None,
    properties: Annotated[
        str | None, typer.Option(metavar="JSON", help="Properties of the event behind it.")
    ] = None,
    ident: Annotated[
        str | None, typer.Option("--id", help="The id to send; nobody is looked up.", show_default=False)
    ] = None,
    id_type: Annotated[
        str | None, typer.Option(help="Its type, such as email.", show_default="the destination's")
    ] = None,
    variables: Annotated[
        str | None, typer.Option(metavar="JSON", help="Values of the webhook's variables and parameters.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A definition that isn't published yet.")
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Send one made-up transition, once; print the request made and the answer got, secrets masked."""
    import asyncio
    import json

    import msgspec

    from app.deliver.trial import TestSend
    from app.failures import CommandFailed
    from app.shown_bytes import safe_json

    if event not in ("enter", "exit"):
        raise CommandFailed(f"--event must be enter or exit, got {event!r}")
    given: dict[str, Any] = {"user_id": user, "audience": audience, "event": event}
    given |= {"id": ident, "id_type": id_type}
    for key, text in (
        ("attributes", attributes),
        ("identities", identities),
        ("properties", properties),
        ("variables", variables),
    ):
        if text is not None:
            try:
                given[key] = json.loads(text)
            except json.JSONDecodeError as error:
                raise CommandFailed(f"--{key} isn't JSON: {error}") from None
    try:
        wanted = msgspec.convert(given, TestSend)
    except msgspec.ValidationError as error:
        raise CommandFailed(f"not a test send: {error}") from None
    result = asyncio.run(_test(load_quiet(settings), name, file, wanted))
    typer.echo(safe_json(msgspec.to_builtins(result)))
    if not result.ok:
        raise typer.Exit(FAILED)


async def _test(settings: Settings, name: str, file: Path | None, wanted: TestSend) -> TestSendResult:
    from agents.connections.check import resolved_all
    from app.deliver.trial import send_test
    from app.failures import CommandFailed
    from app.publish.named.destinations import load_destination_files
    from app.publish.topics import connected
    from rules.parse.problems import name_hint

    if file is None:
        return await send_test(settings, (await _published(settings, name)).definition, wanted)
    known = {each.destination.name: each for each in load_destination_files([file])}
    if name not in known:
        raise CommandFailed(f"there is no destination '{name}' in {file}; {name_hint(name, known)}")
    found = known[name].destination
    if found.connection is not None:
        async with connected(settings) as topics:
            connections = (await topics.read(topics.connections)).published
        (found,) = resolved_all([known[name]], lambda project: connections)
    return await send_test(settings, found, wanted)


async def _published(settings: Settings, name: str) -> PublishedDestination:
    """One of the published destinations, with what its connection says. Raises CommandFailed."""
    from dataclasses import replace

    from agents.connections.resolve import resolved_or_refused
    from app.publish.named.changes import present
    from app.publish.topics import connected

    async with connected(settings) as topics:
        published = present(await topics.read(topics.destinations), name)
        if published.definition.connection is None:
            return published
        connections = (await topics.read(topics.connections)).published
    return replace(published, definition=resolved_or_refused(published.definition, connections))


@cli.command()
def replay(
    name: Name,
    seconds: Annotated[
        float, typer.Option("--for", min=1, metavar="SECONDS", help="Give up after so long.")
    ] = 300.0,
    settings: SettingsFile = None,
) -> None:
    """Send the dead letters of a destination once more. Exit code 1 when some weren't taken."""
    import asyncio

    from app.shown_bytes import safe

    result = asyncio.run(_replay(load_quiet(settings), name, seconds))
    noun = "dead letter" if result.found == 1 else "dead letters"
    typer.echo(
        f"{result.found} {noun}: {result.delivered} delivered, "
        f"{result.refused} refused again, {result.left} left for the next replay, "
        f"{result.unreadable} unreadable"
    )
    if result.other_project:
        typer.echo(f"{result.other_project} not sent, because they are of another project")
    if result.erased:
        typer.echo(f"{result.erased} not sent, because their users were erased since")
    if result.last_error:
        typer.echo(safe(f"last error: {result.last_error}"))
    if result.found != result.delivered + result.erased:
        raise typer.Exit(FAILED)


async def _replay(settings: Settings, name: str, seconds: float) -> Replayed:
    from app.deliver.replay import replay as replay_letters

    return await replay_letters(settings, await _published(settings, name), seconds)


@cli.command()
def status(as_json: AsJson = False, settings: SettingsFile = None) -> None:
    """Per destination: state, lag, last success, last error, retries, dead letters.

    Where no delivery worker answers, states are unknown. While Kafka can't be reached: what a delivery
    worker knows.
    """
    import asyncio

    from app.deliver.status import read_statuses
    from app.shown_bytes import safe, safe_json

    statuses = asyncio.run(read_statuses(load_quiet(settings)))
    found = statuses.each
    if statuses.kafka_silent is not None:
        typer.echo(statuses.kafka_silent, err=True)
    # A delivery worker on another machine may well deliver what this one could ask nobody about.
    untold = "not running" if statuses.worker_silent is None else "unknown"
    if statuses.worker_silent is not None and found:
        typer.echo(f"the states are unknown, because {statuses.worker_silent}", err=True)
    if as_json:
        shown = [
            {
                **(each.live or {"name": each.name, "state": untold}),
                "lag": each.lag,
                "dead_letters_waiting": each.dead_letters,
            }
            for each in found
        ]
        typer.echo(safe_json(shown))
        return
    head = ("destination", "kind", "state", "lag", "delivered", "retries", "dead letters", "last success")
    rows = [head]
    for each in found:
        live = each.live or {}
        rows.append(
            (
                each.name,
                each.kind,
                str(live.get("state", untold)),
                "-" if each.lag is None else str(each.lag),
                str(live.get("delivered", "-")),
                str(live.get("retries", "-")),
                "-" if each.dead_letters is None else str(each.dead_letters),
                str(live.get("last_success") or "-"),
            )
        )
    lines = list(columns(rows))
    for each in found:
        error = (each.live or {}).get("last_error")
        if error:
            lines.append(safe(f"{each.name}: {error['at']} {error['error']}"))
        lacking = (each.live or {}).get("lacking_audiences")
        if lacking:
            lines.append(safe(f"{each.name}: audiences that aren't published: {', '.join(lacking)}"))
    typer.echo("\n".join(lines) if found else "no destination is published")
