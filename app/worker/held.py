"""The users that a worker holds: their memberships, as its partitions have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Raw

from agents.evaluate.evaluator import Answer
from agents.evaluate.native.core import CoreMissing, native_core
from agents.evaluate.question import Question
from agents.kafka.placement import partition_of
from app.lookup.model import LookupRequest, Membership, Status, Told, UserAnswer
from app.worker.askable import Asked
from app.worker.asked import AudienceNotReady, deciding_version
from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.compile.rule_set import RuleSet
from rules.decide.predict import predict_exit
from rules.state.row import Row
from tables.codec import row_key
from tables.store_faults import StoreClosed


class HeldByWorker:
    """See ``app.lookup.held.Held``."""

    def __init__(self, worker: Asked) -> None:
        self._worker = worker
        self._place = _placing()

    @property
    def rules(self) -> RuleSet:
        return self._worker.evaluator.rules

    def partitions_of(self, user_ids: Sequence[str]) -> Sequence[int]:
        return self._place(user_ids, self._worker.partitions)

    def look_at_once(
        self, by_partition: Mapping[int, Sequence[str]], asked: LookupRequest
    ) -> dict[int, list[bytes]] | None:
        found: dict[int, list[bytes]] = {}
        rules: RuleSet | None = None
        for partition, user_ids in by_partition.items():
            answer = self._worker.evaluator.at_once(partition)
            if answer is None:
                return None
            if answer.pipeline.rules is not rules:
                rules, question = answer.pipeline.rules, self.question(answer, asked)
            else:  # looking at many audiences for each partition would take longer than the answers
                question = question._replace(at_ms=_at_ms(answer, asked), more=_more(answer))
            told = None if question.status != "ok" else answer.pipeline.tell_now(question, user_ids)
            if told is None:
                return None
            found[partition] = told
        return found

    async def look(
        self, partition: int, user_ids: Sequence[str], asked: LookupRequest
    ) -> Sequence[Told | None] | None:
        answer = self._worker.evaluator.answer_of(partition)
        return None if answer is None else await self.told(answer, user_ids, asked)

    async def told(self, answer: Answer, user_ids: Sequence[str], asked: LookupRequest) -> list[Told] | None:
        """Of users of one partition, by the native core where it can tell; None: the partition is gone."""
        try:
            told = await answer.pipeline.tell(self.question(answer, asked), user_ids)
        except StoreClosed:
            return None
        return [*self._said(answer, user_ids, asked)] if told is None else list(map(Raw, told))

    def question(self, answer: Answer, asked: LookupRequest) -> Question:
        """What is asked of the native core."""
        audiences, is_ready = self._audiences(answer, asked)
        named = None if asked.audiences is None else [each.id for each in audiences]
        status = "ok" if is_ready else "not_ready"
        return Question(asked.project, named, _at_ms(answer, asked), status, _more(answer))

    def _said(self, answer: Answer, user_ids: Sequence[str], asked: LookupRequest) -> list[UserAnswer]:
        """The same by the Python classes, within one turn of the event loop."""
        audiences, is_ready = self._audiences(answer, asked)
        pipeline, project = answer.pipeline, asked.project
        at_ms = _at_ms(answer, asked)
        rows = pipeline.look_at([row_key(project, each) for each in user_ids], at_ms)
        rules, is_reader, behind_ms = pipeline.rules.project(project), answer.is_reader, answer.behind_ms
        answers: list[UserAnswer] = []
        for user_id in user_ids:
            row = rows.get(row_key(project, user_id))
            if row is None:
                answers.append(UserAnswer("unknown_user", user_id, {}, at_ms, is_reader, behind_ms))
                continue
            found = {each.id: membership_in(rules, each, row, at_ms) for each in audiences}
            if asked.audiences is None:
                found = {name: each for name, each in found.items() if each.member}
            status: Status = "ok" if is_ready else "not_ready"
            then_ms = max(at_ms, row.now_ms)
            answers.append(UserAnswer(status, user_id, found, then_ms, is_reader, behind_ms))
        return answers

    def _audiences(self, answer: Answer, asked: LookupRequest) -> tuple[list[CompiledAudience], bool]:
        """The audiences that can be told of, and whether these are all that were asked for."""
        deciding = answer.pipeline.rules
        if asked.audiences is None:
            return list(deciding.project(asked.project).audiences), True
        found: list[CompiledAudience] = []
        latest = self.rules.project(asked.project)
        for name in asked.audiences:
            audience = latest.by_id(name)
            try:
                if audience is not None:
                    found.append(deciding_version(self._worker, deciding, audience))
            except AudienceNotReady:
                pass
        return found, len(found) == len(asked.audiences)


def _at_ms(answer: Answer, asked: LookupRequest) -> int:
    return max(answer.at_ms, answer.pipeline.stream_time_ms, asked.at_ms or 0)


def _more(answer: Answer) -> str:
    """The fields by which a reader says that it answered, and how old that is."""
    return "" if answer.behind_ms is None else f',"reader":true,"behind_ms":{answer.behind_ms}'


def _placing() -> Callable[[Sequence[str], int], Sequence[int]]:
    """What says the partitions of many users."""
    try:
        return native_core().partitions_of
    except CoreMissing:
        return lambda user_ids, partitions: [partition_of(each, partitions) for each in user_ids]


def membership_in(rules: ProjectRules, audience: CompiledAudience, row: Row, at_ms: int) -> Membership:
    """Of a row that is decided up to ``at_ms``."""
    membership = row.audiences.get(audience.key)
    if membership is None or not membership.inside:
        return Membership(False)
    exit_ms = predict_exit(rules, audience, row, max(at_ms, row.now_ms))
    return Membership(True, row.since_ms(membership), exit_ms, membership.version)
