"""What a reader can be asked while a partition is grafted: rows that it has, and no pages or sizes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition

from agents.follow.source_ends import SourceEnds
from agents.follow.view import RowElsewhere
from agents.warnings import Warnings
from app.serve.metrics import ReaderMetrics
from app.worker.following.answering import ReaderAnswers, ReaderBehind
from app.worker.following.reached import Reached
from rules.state.row import Row
from tables.codec import encode_row
from tests.agents.follow.test_replicas import CATALOG, NOW_MS, Lab


def answers_of(lab: Lab) -> ReaderAnswers:
    answers = ReaderAnswers(ReaderMetrics(Warnings()))
    answers.replicas = lab.replicas
    lab.replicas.define(CATALOG)
    return answers


async def test_while_a_partition_is_grafted_its_rows_are_asked_for_one_by_one() -> None:
    lab = Lab()
    answers = answers_of(lab)
    lab.cut(epoch=2, shadow="s1")
    lab.checkpoint(NOW_MS - 3_000, taken=6, swept="before")
    lab.write(b"new", encode_row(Row(NOW_MS - 4_000, base_ms=NOW_MS - 4_000, epoch=2)))
    assert answers.answer_of(0) is None, "the owner lists the members, and counts them"
    answer = answers.by_row(0)
    assert answer is not None
    assert answer.is_reader
    assert answer.pipeline.look("default", "new", answer.at_ms) is not None
    with pytest.raises(RowElsewhere):
        answer.pipeline.look("default", "old", answer.at_ms)
    lab.checkpoint(NOW_MS - 2_000, taken=6, step=2)
    assert answers.answer_of(0) is not None


async def test_an_answer_that_is_too_old_is_a_refusal_that_says_when_to_ask_again() -> None:
    lab = Lab()
    answers = answers_of(lab)
    lab.cut()
    lab.checkpoint(NOW_MS - 11_000, taken=6)
    with pytest.raises(ReaderBehind, match="behind in partition 0") as refused:
        answers.by_row(0)
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})


class End(SourceEnds):
    """The changelog ends at ``at``, as a broker would tell."""

    def __init__(self, at: int) -> None:
        nobody: Any = None
        super().__init__(nobody, lambda: NOW_MS)
        self.at = at

    async def end_of(self, tp: TopicPartition) -> int:
        return self.at


async def test_latest_waits_for_what_was_in_the_changelog_when_it_was_asked_for() -> None:
    lab = Lab()
    lab.replicas.define(CATALOG)
    lab.cut()
    lab.checkpoint(NOW_MS, taken=6)
    end = End(lab.offset + 1)
    reached = Reached(end, "changelog")
    reached.replicas = lab.replicas
    waiting = asyncio.create_task(reached.wait(0, "latest"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    end.at += 5  # what comes later isn't waited for
    lab.checkpoint(NOW_MS + 1, taken=6, step=2)
    assert await waiting
