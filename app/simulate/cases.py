"""Authors' cases through the very pipeline: what came out beside what must (docs/testing-audiences.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agents.evaluate.native.engine import Engine
from agents.evaluate.steps import Limits, Step
from agents.evaluate.transitions import transition_body
from agents.kafka.placement import Place
from app.publish.files import parse_definition_files
from app.simulate.lines import LineRecord
from app.simulate.simulate import CACHE_ROWS, STEP_USERS
from rules.cases.case import Awaited, Case, CaseFile, check_mentions
from rules.cases.parse import parse_cases
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.model.language import Audience
from rules.parse.definitions import check_together
from rules.parse.problems import DefinitionProblem, DefinitionsInvalid
from rules.parse.values import UTC
from rules.time.instants import parse_instant
from tables.store import MemoryStore


@dataclass(frozen=True, slots=True)
class Ready:
    """A file of cases with the audiences that they are about."""

    source: CaseFile
    audiences: Sequence[Audience]


@dataclass(frozen=True, slots=True)
class Line:
    """What was expected of a user at an instant, beside what came; empty where there is nothing.

    ``kind`` is ``transition`` or ``member``.
    """

    kind: str
    at_ms: int
    user_id: str
    expected: str
    got: str

    @property
    def is_right(self) -> bool:
        return self.expected == self.got


@dataclass(slots=True)
class CaseResult:
    """A case that ran. ``lines`` are in order of time; ``problems`` are records that can't be used."""

    file: str
    case: Case
    lines: list[Line] = field(default_factory=list)
    problems: list[DefinitionProblem] = field(default_factory=list)
    transitions: list[dict[str, object]] = field(default_factory=list)
    """All bodies, in order of time."""

    @property
    def passed(self) -> bool:
        return not self.problems and all(line.is_right for line in self.lines)


def load_cases(paths: Sequence[Path], max_samples: int, timezones: Mapping[str, str] = UTC) -> list[Ready]:
    """Files of cases, each with the audiences it has and those of the files it names, relative to itself.

    Raises DefinitionsInvalid with every problem of all of them.
    """
    ready: list[Ready] = []
    problems: list[DefinitionProblem] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it isn't UTF-8"
            problems.append(DefinitionProblem("unreadable", f"can't be read: {reason}", "", str(path), 1, 1))
            continue
        cases, found = parse_cases(text, str(path), max_samples, timezones)
        parsed = list(cases.audiences)
        for name, at in cases.files:
            more, unusable = parse_definition_files([path.parent / name], max_samples, timezones)
            parsed += more
            found += [_named_here(each, str(path), at.line, at.column) for each in unusable]
        if not found:
            found += check_together(parsed)
            found += check_mentions(cases, (each.audience.id for each in parsed))
        problems += found
        ready.append(Ready(cases, [each.audience for each in parsed]))
    if problems:
        raise DefinitionsInvalid(dict.fromkeys(problems))
    return ready


def run_cases(
    ready: Ready, limits: Limits | None = None, max_samples: int = 1000, engine: Engine | None = None
) -> Iterator[CaseResult]:
    """Run the cases of a file, each from nothing. ``engine`` None: Python."""
    for case in ready.source.cases:
        yield _CaseRun(ready, case, limits or Limits(), max_samples, engine or Engine()).outcome()


class _CaseRun:
    def __init__(self, ready: Ready, case: Case, limits: Limits, max_samples: int, engine: Engine) -> None:
        self.case = case
        self.found = CaseResult(ready.source.file, case)
        self.projects = sorted({each.project for each in ready.audiences}) or ["default"]
        self.pipeline = engine.pipeline(Place(0, 1), MemoryStore(), limits, CACHE_ROWS)
        published = [PublishedAudience(each, 1, created_ms=case.start_ms) for each in ready.audiences]
        self.pipeline.define(compile_rules(published, max_samples))
        self._acknowledge(self.pipeline.sweep(1))  # there are no rows yet: to none the audiences are news

    def outcome(self) -> CaseResult:
        expected = sorted(self.case.expected, key=lambda each: each.at_ms)
        for offset, given in enumerate(self.case.events):
            while expected and expected[0].at_ms < given.at_ms:
                self._look(expected.pop(0).at_ms)
            body = {"project": self.projects[0], **given.body} if len(self.projects) == 1 else given.body
            user_id = given.body["user_id"]
            key = user_id.encode() if isinstance(user_id, str) else None
            record = LineRecord(offset, given.at_ms, key, msgspec.json.encode(body))
            self._acknowledge(self.pipeline.apply([record]))
        while expected:
            self._look(expected.pop(0).at_ms)
        while True:
            self._acknowledge(self.pipeline.punctuate(self.case.until_ms + 1, STEP_USERS))
            if not self.pipeline.overdue:
                break
        self.found.transitions.sort(key=lambda body: (body["at"], body["user_id"]))
        if self.case.transitions is not None:
            only = self.case.only
            came = [body for body in self.found.transitions if not only or body["audience"] in only]
            self.found.lines += compare(self.case.transitions, came)
        self.found.lines.sort(key=lambda line: (line.at_ms, line.kind != "transition", line.user_id))
        return self.found

    def _look(self, at_ms: int) -> None:
        """Check what is expected at an instant, all of it at once."""
        for each in self.case.expected:
            if each.at_ms != at_ms:
                continue
            inside = self._members(each.user_id, at_ms)
            for wanted, audiences in ((True, each.inside), (False, each.outside)):
                for audience in audiences:
                    got = audience in inside
                    texts = (f"{'in' if said else 'not in'} {audience}" for said in (wanted, got))
                    line = Line("member", at_ms, each.user_id, *texts)
                    if line not in self.found.lines:
                        self.found.lines.append(line)

    def _members(self, user_id: str, at_ms: int) -> set[str]:
        found = set()
        for project in self.projects:
            row = self.pipeline.look(project, user_id, at_ms)
            by_key = self.pipeline.rules.project(project).by_key
            memberships = row.audiences.items() if row is not None else ()
            found |= {by_key[key].id for key, each in memberships if each.inside}
        return found

    def _acknowledge(self, step: Step) -> None:
        for letter in step.dead:
            given = self.case.events[letter.record.offset]
            problem = DefinitionProblem(
                letter.code, letter.message, given.path, self.found.file, given.place.line, given.place.column
            )
            self.found.problems.append(problem)
        self.pipeline.acked(step)
        self.pipeline.profiles.durable(step.staged)
        self.found.transitions += [msgspec.to_builtins(transition_body(each)) for each in step.transitions]


def compare(awaited: Iterable[Awaited], came: Iterable[Mapping[str, object]]) -> list[Line]:
    """Transitions beside each other: those of one instant, user and audience belong together, in order."""
    waiting: dict[tuple[object, ...], list[Awaited]] = {}
    for each in awaited:
        waiting.setdefault((each.at_ms, each.user_id, each.event, each.audience), []).append(each)
    lines: list[Line] = []
    for body in came:
        at_ms, user_id = parse_instant(body["at"]), str(body["user_id"])
        same = waiting.get((at_ms, user_id, body["event"], body["audience"]))
        got = f"{body['event']} {body['audience']}"
        if not same:
            lines.append(Line("transition", at_ms, user_id, "", got))
            continue
        asked = same.pop(0).details
        wanted, came_so = (
            {name: _value(asked[name], values.get(name)) for name in asked} for values in (asked, body)
        )
        other = [name for name in asked if wanted[name] != came_so[name]]
        lines.append(
            Line("transition", at_ms, user_id, got + _told(other, wanted), got + _told(other, came_so))
        )
    lines += [
        Line("transition", each.at_ms, each.user_id, f"{each.event} {each.audience}", "")
        for left in waiting.values()
        for each in left
    ]
    return lines


def _told(names: Iterable[str], values: Mapping[str, str]) -> str:
    """``, cause=time, exit_at=null``: the fields that differ."""
    return "".join(f", {name}={values[name]}" for name in names)


def _value(asked: object, value: object) -> str:
    if isinstance(asked, Mapping) and isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_value(asked[name], value.get(name))}" for name in asked) + "}"
    return "null" if value is None else str(value)


def _named_here(problem: DefinitionProblem, file: str, line: int, column: int) -> DefinitionProblem:
    """A file that can't be read is a problem of the file that names it; others are their own."""
    if problem.code not in ("unreadable", "not_utf8", "no_definitions"):
        return problem
    return DefinitionProblem(problem.code, f"{problem.file}: {problem.message}", "files", file, line, column)
