"""Whether the history reaches as far back as changed definitions look (docs/semantics.md, section 8a)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agents.backfill.history.completeness import Shortfall, shortfalls
from agents.registry.audiences import AudienceChange, record_key
from app.publish.ask import Ask
from rules.compile.audience import PublishedAudience
from rules.model.computation import same_computation
from rules.model.language import Audience, references
from rules.parse.audience import ParsedAudience
from rules.parse.problems import DefinitionProblem

CODE = "history_incomplete"


def short_history(
    ask: Ask,
    changes: Sequence[AudienceChange],
    published: Mapping[bytes, PublishedAudience],
    versions: Mapping[bytes, Mapping[int, PublishedAudience]],
    wanted: Sequence[ParsedAudience] = (),
) -> list[DefinitionProblem]:
    """A problem for each audience that would be computed on less history than its author asks for.

    ``published`` is what stays beside the changes. ``versions``: all that there are. ``wanted`` say where the
    changed definitions stand. Whoever goes back to the version that decides has nothing computed.
    """
    before = {key: each.audience for key, each in published.items() if not each.deleted}
    after = {**before, **{record_key(each.audience): each.audience for each in changes}}
    deciding = _deciding(ask.deciding, versions)
    changed = {
        record_key(each.audience)
        for each in changes
        if each.action == "rebuilt" or _is_new_computation((before, deciding), each.audience)
    }
    problems: list[DefinitionProblem] = []
    for project in dict.fromkeys(each.audience.project for each in changes):
        by_id = {each.id: each for each in after.values() if each.project == project}
        computed = _with_dependents([each for each in by_id.values() if record_key(each) in changed], by_id)
        found = shortfalls(computed, by_id, ask.logs, ask.now_ms, ask.dedupe_ms)
        problems += [_problem(each, wanted) for each in found]
    return problems


def _deciding(
    known: Mapping[bytes, int], versions: Mapping[bytes, Mapping[int, PublishedAudience]]
) -> dict[bytes, Audience]:
    found = {key: versions.get(key, {}).get(version) for key, version in known.items()}
    return {key: each.audience for key, each in found.items() if each is not None and not each.deleted}


def _is_new_computation(known: Iterable[Mapping[bytes, Audience]], audience: Audience) -> bool:
    key = record_key(audience)
    return not any(key in each and same_computation(each[key], audience) for each in known)


def _with_dependents(changed: Sequence[Audience], by_id: Mapping[str, Audience]) -> list[Audience]:
    """They, and all that ask about them, directly or not."""
    found = {each.id: each for each in changed}
    askers: dict[str, list[Audience]] = {}
    for each in by_id.values():
        for asked in references(each.rule):
            askers.setdefault(asked, []).append(each)
    waiting = list(found)
    while waiting:
        for each in askers.get(waiting.pop(), ()):
            if each.id not in found:
                found[each.id] = each
                waiting.append(each.id)
    return list(found.values())


def _problem(short: Shortfall, wanted: Sequence[ParsedAudience]) -> DefinitionProblem:
    audience = short.audience
    for each in wanted:
        if (each.audience.project, each.audience.id) == (audience.project, audience.id):
            at = each.id_at
            path = f"{each.path}.backfill" if each.path else "backfill"
            return DefinitionProblem(
                CODE, short.message, path, each.file, at.line, at.column, short.hint, audience.id
            )
    file = f"published audience '{audience.id}'"
    return DefinitionProblem(CODE, short.message, "backfill", file, 1, 1, short.hint, audience.id)
