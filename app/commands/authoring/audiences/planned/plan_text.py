"""A plan in words: a line for each audience, and under a changed one what changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from app.commands.authoring.audiences.planned.plan import Action, AudienceId, Plan, PlannedChange
from app.shown_bytes import safe
from rules.write.text import difference

SIGNS: Final[Mapping[Action, str]] = {"create": "+", "change": "~", "delete": "-"}
_STYLES: Final[Mapping[str, str]] = {"+": "green", "~": "yellow", "-": "red"}
_DONE: Final[Mapping[Action, str]] = {"create": "created", "change": "changed", "delete": "deleted"}


class Line(NamedTuple):
    """Text, and the style that it has on a terminal."""

    text: str
    style: str = ""


def print_lines(lines: Iterable[Line]) -> None:
    """To standard output, in colours where that is a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, emoji=False)
    for line in lines:
        console.print(Text(safe(line.text), line.style), soft_wrap=True)


def plan_lines(plan: Plan, effects: Mapping[AudienceId, str], *, would: bool) -> Iterator[Line]:
    """The plan; ``effects`` say who enters and leaves. ``would``: of a dry run; otherwise it comes."""
    for change in plan.differences:
        yield from _change_lines(change, effects.get(change.id, ""), would)
    planned = {each.id for each in plan.differences}
    for id, effect in effects.items():
        if id not in planned:
            yield Line(f"  {'/'.join(id)} asks about these: {effect}")
    same = len(plan.of("same"))
    if same and plan.differences:
        yield Line(f"= {same} {'is' if same == 1 else 'are'} the same", "dim")


def summary(plan: Plan, *, would: bool) -> str:
    """One sentence: what will or would be done; what is so where there is nothing to do."""
    if not plan.differences:
        count = len(plan.changes)
        what = "the audience is" if count == 1 else f"all {count} audiences are"
        return f"nothing to do: {what} published already as the files say"
    verb = "would" if would else "will"
    done = ("create", "change", "delete")
    counts = [f"{verb} {each} {len(plan.of(each))}" for each in done if plan.of(each)]  # type: ignore[arg-type]
    return ", ".join(counts)


def _change_lines(change: PlannedChange, effect: str, would: bool) -> Iterator[Line]:
    sign = SIGNS[change.action]
    verb = "would" if would else "will"
    text = f"{sign} {verb} {change.action} {'/'.join(change.id)}"
    notes = [each for each in (_note(change, effect), effect) if each]
    yield Line(f"{text}: {'; '.join(notes)}" if notes else text, _STYLES[sign])
    if change.action == "change" and change.before is not None:
        for line in difference(change.before.audience, change.audience):
            yield Line(f"    {line}", _STYLES.get(line[0], ""))


def _note(change: PlannedChange, effect: str) -> str:
    if change.action == "delete":
        return "it isn't in the files" if effect else "it isn't in the files, and its members leave"
    if change.action == "create":
        was_there = change.before is not None
        return "an audience of this id was there before and was deleted" if was_there else ""
    if change.before is None:
        return "its record can't be read, so that it is written anew"
    parts = ", ".join(change.parts())
    if not change.is_computed:
        return f"{parts}; holds at once, nobody enters or leaves"
    return f"{parts}; its members are computed anew"


def done_lines(plan: Plan, versions: Mapping[AudienceId, int]) -> Iterator[Line]:
    """What was done, with the versions that came of it."""
    for each in plan.differences:
        sign = SIGNS[each.action]
        yield Line(f"{_DONE[each.action]} {'/'.join(each.id)}, version {versions[each.id]}", _STYLES[sign])


def plan_document(
    plan: Plan, effects: Mapping[AudienceId, Any], versions: Mapping[AudienceId, int]
) -> dict[str, Any]:
    """The plan as JSON, for scripts; ``versions`` are those that came of it."""
    planned = {each.id for each in plan.changes}
    return {
        "differences": len(plan.differences),
        "changes": [
            {
                "action": each.action,
                "project": each.audience.project,
                "id": each.audience.id,
                "version": versions.get(each.id),
                "version_before": 0 if each.before is None else each.before.version,
                "parts": each.parts(),
                "is_computed": each.is_computed,
                "effect": effects.get(each.id),
                "difference": (
                    difference(each.before.audience, each.audience)
                    if each.action == "change" and each.before is not None
                    else []
                ),
            }
            for each in plan.changes
        ],
        "asking_about_these": [
            {"project": id[0], "id": id[1], "effect": each}
            for id, each in effects.items()
            if id not in planned
        ],
    }
