"""From files and what is published to a plan, with everything that stands against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agents.registry.audiences import Audiences, record_key
from app.commands.authoring.audiences.planned.plan import Plan, make_plan, refused_deletions
from app.failures import CommandFailed
from app.publish.audiences import check_beside_published
from rules.compile.audience import PublishedAudience
from rules.parse.audience import ParsedAudience
from rules.parse.problems import DefinitionsInvalid


def plan_of_files(known: Audiences, wanted: Sequence[ParsedAudience], prune: bool) -> Plan:
    """What the files change of what is published."""
    unusable = [tuple(key.decode(errors="replace").split("/", 1)) for key in known.unusable_versions]
    return make_plan(
        list(known.published.values()),
        [each.audience for each in wanted],
        prune=prune,
        unusable=[(project, id) for project, id in unusable],
    )


def check_plan(known: Audiences, wanted: Sequence[ParsedAudience], plan: Plan) -> None:
    """Raises DefinitionsInvalid or CommandFailed with all that stands against it."""
    problems = check_beside_published(wanted, _without_names(known.published, plan))
    refused = refused_deletions(plan, list(known.published.values()))
    if problems and not refused:
        raise DefinitionsInvalid(problems)
    if refused:
        raise CommandFailed("\n".join([*map(str, problems), *refused]))


def _without_names(
    published: Mapping[bytes, PublishedAudience], plan: Plan
) -> dict[bytes, PublishedAudience]:
    """With the names of those that the plan deletes free for others."""
    gone = {record_key(each.audience) for each in plan.of("delete")}
    return {
        key: replace(each, audience=replace(each.audience, name=f"\0{each.audience.id}"))
        if key in gone
        else each
        for key, each in published.items()
    }
