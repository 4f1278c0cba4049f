"""``turnstile audiences estimate``: how large definitions are that need not be published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import AsJson, Definitions, SettingsFile, load_quiet

if TYPE_CHECKING:
    from agents.estimate.answer import Estimate
    from app.estimate.question import At, Precision
    from app.settings.tree import Settings
    from rules.parse.audience import ParsedAudience


def estimate(
    files: Definitions,
    error: Annotated[
        str, typer.Option(metavar="PERCENT", help="Stop when each size is known this well, relative to it.")
    ] = "5%",
    exact: Annotated[bool, typer.Option("--exact", help="Evaluate every user.")] = False,
    days: Annotated[int, typer.Option(min=0, max=1000, help="Sizes of so many days before today.")] = 14,
    at: Annotated[
        str, typer.Option(metavar="now|end", help="Sizes as of now, or as of the log's last record.")
    ] = "now",
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Estimate sizes from a sample of the users; nothing is published, and no worker is needed.

    For each audience: its size with a 95 % interval, what each part of the rule keeps and drops, sizes by
    day, who could be concerned at all, and ten members with the reason. Audiences that the rules refer to may
    be in the files or published.
    """
    import asyncio

    from app.commands.authoring.audiences.estimate_text import report
    from app.estimate.question import Precision
    from app.publish.files import parse_definition_files
    from app.shown_bytes import safe_json
    from rules.parse.definitions import check_together
    from rules.parse.problems import DefinitionsInvalid

    precision = Precision(parse_share(error), exact, days, _instant(at))
    loaded = load_quiet(settings)
    wanted, problems = parse_definition_files(files, loaded.state.max_samples, loaded.projects.zones)
    problems += check_together(wanted, references=False)  # they may be to published audiences
    if problems:
        raise DefinitionsInvalid(problems)
    found = asyncio.run(_estimate(loaded, wanted, precision))
    if as_json:
        import msgspec

        typer.echo(safe_json(msgspec.to_builtins({"estimates": found})))
    else:
        typer.echo("\n".join(line for each in found for line in report(each)))


async def _estimate(settings: Settings, wanted: list[ParsedAudience], precision: Precision) -> list[Estimate]:
    from agents.kafka.consumed import use_light_records
    from app.commands.authoring.audiences.estimate_text import Shown
    from app.estimate.question import Question
    from app.estimate.run import run
    from app.publish.audiences import check_beside_published
    from app.publish.topics import connected
    from rules.parse.problems import DefinitionsInvalid

    async with connected(settings) as topics:
        published = (await topics.read(topics.audiences)).published
    problems = check_beside_published(wanted, published)
    if problems:
        raise DefinitionsInvalid(problems)
    use_light_records()
    question = Question(tuple(each.audience for each in wanted), tuple(published.values()), precision)
    with Shown() as shown:
        return await run(settings, question, shown.tell)


def parse_share(text: str, option: str = "--error") -> float:
    """``5%`` or ``0.05``, above 0 and below 1. Raises CommandFailed."""
    from app.failures import CommandFailed

    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise CommandFailed(f"{option} {text}: a share above 0 % and below 100 %, such as 5% or 0.05")
    return share


def _instant(text: str) -> At:
    from app.failures import CommandFailed

    if text == "now":
        return "now"
    if text == "end":
        return "end"
    raise CommandFailed(f"--at {text}: now, or end (where the log ends)")
