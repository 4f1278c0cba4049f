"""``turnstile topics``: check, make, mend and print the topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.asking import Yes, ask
from app.commands.options import SettingsFile, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from app.topics.repairs import Found, TopicRepairs

cli = typer.Typer(help="Check, make, mend and print the topics.", no_args_is_help=True)

WRONG = 1
"""Exit code when something is wrong with a topic."""
Format = Annotated[str, typer.Option("--format", help="kafka-topics, strimzi or terraform.")]
Destinations = Annotated[
    list[str] | None, typer.Option("--destination", help="Add the dead-letter topic of this destination.")
]
Topic = Annotated[str, typer.Argument(metavar="TOPIC", help="The topic's name.", show_default=False)]


@cli.command()
def check(settings: SettingsFile = None) -> None:
    """Print everything that is wrong; exit code 1 when topics are missing or would stop a worker."""
    import asyncio

    from app.topics.repairs import connected

    async def run() -> Found:
        async with connected(load_quiet(settings)) as topics:
            return await topics.check()

    found = asyncio.run(run())
    for each in found.faults:
        typer.echo(f"{'wrong' if each.loses else 'unwise'}: {each}")
    wrong = sum(each.loses for each in found.faults)
    typer.echo(f"{len(found.wanted)} topics: {wrong} wrong, {len(found.faults) - wrong} unwise")
    if wrong:
        raise typer.Exit(WRONG)


@cli.command()
def apply(yes: Yes = False, settings: SettingsFile = None) -> None:
    """Make the topics that are missing and mend settings; records are never touched.

    Input topics are made only with topics.create. What can't be mended by this is told, with exit code 1.
    """
    import asyncio

    from app.topics.repairs import connected

    async def run() -> list[str]:
        async with connected(load_quiet(settings)) as topics:
            found = await topics.check()
            rows = _planned(topics, found)
            if missing := topics.missing_sources(found):
                names = ", ".join(missing)
                typer.echo(f"no topic is made while input topics (topics.events) are missing: {names}")
            if not rows and not missing:
                typer.echo("nothing to make or to change")
            elif rows:
                typer.echo("\n".join(columns(rows)))
                ask("Do this?", yes)
                await topics.apply(found)
                found = await topics.check()
            return [str(each) for each in found.faults if each.loses]

    if left := asyncio.run(run()):
        typer.echo("\n".join(f"wrong: {each}" for each in left))
        raise typer.Exit(WRONG)


def _planned(topics: TopicRepairs, found: Found) -> list[tuple[str, str, str]]:
    """What ``apply`` would do: verb, topic, with what."""
    from app.topics.repairs import mendable

    copies = topics.copies(found)
    rows = [
        ("make", each.name, f"partitions={each.partitions} copies={copies} {_shown(each.made_with(copies))}")
        for each in topics.to_make(found)
    ]
    return rows + [("set", topic, _shown(configs)) for topic, configs in mendable(found.faults).items()]


def _shown(configs: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in configs.items())


@cli.command("print")
def print_topics(
    kind: Format = "kafka-topics", destinations: Destinations = None, settings: SettingsFile = None
) -> None:
    """Print the exact settings with which to make the topics ahead; nothing is asked of Kafka."""
    from agents.deliver.definitions.parse_destination import NAME
    from agents.topics.plan import wanted_topics
    from app.failures import CommandFailed
    from app.kafka.configured import plan_of
    from app.settings.tree import load_settings
    from app.topics.advice import FORMATS, advice
    from rules.parse.problems import name_hint

    if kind not in FORMATS:
        raise CommandFailed(f"--format {kind}: {name_hint(kind, FORMATS)}")
    wrong = [name for name in destinations or () if NAME.fullmatch(name) is None]
    if wrong:
        raise CommandFailed(f"--destination {wrong[0]!r}: a name has 1 to 64 of A-Z a-z 0-9 _ -")
    loaded = load_settings(settings)
    plan, partitions = plan_of(loaded), loaded.topics.partitions
    wanted = [*wanted_topics(plan, partitions), plan.destinations_topic(), plan.connections_topic()]
    wanted += plan.push_topics()
    wanted += [plan.undelivered_topic(name, partitions) for name in destinations or ()]
    typer.echo(advice(kind, wanted, loaded.topics.replication))


@cli.command()
def accept(topic: Topic, settings: SettingsFile = None) -> None:
    """Go on with a topic that was deleted and made again; an input topic is read from its beginning.

    No worker may run. The rows stay as they are.
    """
    import asyncio

    from app.topics.repairs import connected

    async def run() -> list[int]:
        async with connected(load_quiet(settings)) as topics:
            return await topics.accept(topic)

    changed = asyncio.run(run())
    if changed:
        typer.echo(
            f"accepted {topic}: the state of partitions {', '.join(map(str, changed))} goes on with it"
        )
    else:
        typer.echo(f"nothing to accept: {topic} is the topic that the state knows")


@cli.command("rebuild-changelog")
def rebuild_changelog(settings: SettingsFile = None) -> None:
    """Write the changelog again from the rows in worker.data_dir, where it was lost.

    No worker may run. Give it on every machine that has rows (with a volume per pod: in each pod).
    """
    import asyncio

    from app.topics.repairs import connected

    async def run() -> tuple[dict[int, int], list[str]]:
        async with connected(load_quiet(settings)) as topics:
            return await topics.rebuild()

    done, failed = asyncio.run(run())
    for partition, rows in done.items():
        typer.echo(f"partition {partition}: {rows} rows written")
    for text in failed:
        typer.echo(f"not done: {text}")
    if failed:
        raise typer.Exit(WRONG)
