"""The users that a worker holds: their memberships, as its partitions have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Raw

from agents.evaluate.evaluator import Answer
from agents.evaluate.native.core import CoreMissing, native_core
from agents.evaluate.native.pipeline import NativePipeline, Question
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

    async def look(
        self, partition: int, user_ids: Sequence[str], asked: LookupRequest
    ) -> Sequence[Told | None] | None:
        answer = self._worker.evaluator.answer_of(partition)
        return None if answer is None else await self.told(answer, user_ids, asked)

    async def told(self, answer: Answer, user_ids: Sequence[str], asked: LookupRequest) -> list[Told] | None:
        """Of users of one partition, by the native core where it can tell; None: the partition is gone."""
        pipeline = answer.pipeline
        if isinstance(pipeline, NativePipeline):
            audiences, is_ready = self._audiences(answer, asked)
            named = None if asked.audiences is None else [each.id for each in audiences]
            at_ms = max(answer.at_ms, pipeline.stream_time_ms, asked.at_ms or 0)
            question = Question(asked.project, named, at_ms, "ok" if is_ready else "not_ready")
            try:
                told = await pipeline.tell(question, user_ids)
            except StoreClosed:
                return None
            if told is not None:
                return [Raw(each) for each in told]
        return [*self._said(answer, user_ids, asked)]

    def _said(self, answer: Answer, user_ids: Sequence[str], asked: LookupRequest) -> list[UserAnswer]:
        """The same by the Python classes, within one turn of the event loop."""
        audiences, is_ready = self._audiences(answer, asked)
        pipeline, project = answer.pipeline, asked.project
        at_ms = max(answer.at_ms, pipeline.stream_time_ms, asked.at_ms or 0)
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
            answers.append(UserAnswer(status, user_id, found, at_ms, is_reader, behind_ms))
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
