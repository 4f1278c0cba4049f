"""The users that a worker holds: their memberships, as its partitions have them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Raw

from agents.evaluate.evaluator import Answer
from agents.evaluate.native.core import CoreMissing, native_core
from agents.evaluate.question import Question
from agents.kafka.placement import partition_of, table_partition
from app.lookup.model import LookupRequest, Membership, Status, Told, UserAnswer
from app.lookup.positions import LATEST, positions_of
from app.worker.askable import Asked
from app.worker.asked import AudienceNotReady, deciding_version
from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.compile.rule_set import RuleSet
from rules.decide.predict import predict_exit
from rules.state.row import Row
from rules.time.instants import format_instant
from tables.codec import row_key
from tables.store_faults import StoreClosed

POSITION_SECONDS: Final = 0.005
"""Between two looks at how far a partition is."""


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
        if answer is not None and asked.min_position is not None:
            answer = await self._come_as_far(partition, answer, asked)
            if answer is None:
                return [UserAnswer("unavailable", each) for each in user_ids]
        return None if answer is None else await self.told(answer, user_ids, asked)

    async def _come_as_far(
        self, partition: int, answer: Answer | None, asked: LookupRequest
    ) -> Answer | None:
        """The answer of a partition that has taken the records which the request is about; None: it is too
        late, or the partition went."""
        wanted = positions_of(asked.min_position or LATEST)
        of = self._worker.partitions
        mine = [each for each in wanted if table_partition(each.partition, of) == partition]
        loop = asyncio.get_running_loop()
        ends = loop.time() + asked.deadline_ms / 1000
        while answer is not None:
            # All that is in the changelog is the owner's; of one who may be no owner any more nobody knows.
            is_surely_latest = not answer.is_reader or bool(wanted)
            position_of = answer.pipeline.position_of
            if is_surely_latest and all(position_of(*each[:2]) >= each.offset for each in mine):
                return answer
            if loop.time() >= ends:
                return None
            await asyncio.sleep(POSITION_SECONDS)
            answer = self._worker.evaluator.answer_of(partition)
        return None

    async def told(self, answer: Answer, user_ids: Sequence[str], asked: LookupRequest) -> list[Told] | None:
        """Of users of one partition, by the native core where it can tell; None: the partition is gone."""
        try:
            if asked.attributes is not None:  # the core tells of memberships only
                return [*self._said(answer, user_ids, asked)]
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
        rules = pipeline.rules.project(project)
        told_by = answer.is_reader, answer.behind_ms, answer.records_ms
        answers: list[UserAnswer] = []
        for user_id in user_ids:
            row = rows.get(row_key(project, user_id))
            if row is None:
                answers.append(UserAnswer("unknown_user", user_id, {}, at_ms, *told_by))
                continue
            found = {each.id: membership_in(rules, each, row, at_ms) for each in audiences}
            if asked.audiences is None:
                found = {name: each for name, each in found.items() if each.member}
            status: Status = "ok" if is_ready else "not_ready"
            then_ms = max(at_ms, row.now_ms)
            has = None if asked.attributes is None else _attributes(row, asked.attributes)
            answers.append(UserAnswer(status, user_id, found, then_ms, *told_by, attributes=has))
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


def _attributes(row: Row, names: Sequence[str]) -> dict[str, object]:
    """No names: all."""
    of = row.attributes
    return {name: of[name] for name in names if name in of} if names else dict(of)


def _at_ms(answer: Answer, asked: LookupRequest) -> int:
    return max(answer.at_ms, answer.pipeline.stream_time_ms, asked.at_ms or 0)


def _more(answer: Answer) -> str:
    """What an answer says of who gave it, as the core writes it at the end."""
    told = ""
    if answer.behind_ms is not None:
        told = f',"reader":true,"behind_ms":{answer.behind_ms}'
    if answer.records_ms is not None:
        told += f',"records_as_of":"{format_instant(answer.records_ms)}"'
    return told


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
