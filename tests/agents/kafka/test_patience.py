"""Brokers that can't answer yet are asked again; what is wrong for good is told at once."""

from __future__ import annotations

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError

from agents.kafka import patience
from agents.kafka.patience import patiently


class Asked:
    """Answers after so many errors."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def ask(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def test_who_cant_answer_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_AGAIN_SECONDS", 0.0)
    assert await patiently(Asked(GroupCoordinatorNotAvailableError(), TimeoutError()).ask) == "answer"
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(GroupCoordinatorNotAvailableError):
        await patiently(Asked(*[GroupCoordinatorNotAvailableError()] * 1000).ask)


async def test_what_is_refused_is_told_at_once() -> None:
    asked = Asked(GroupAuthorizationFailedError(), TimeoutError())
    with pytest.raises(GroupAuthorizationFailedError):
        await patiently(asked.ask)
    assert len(asked.errors) == 1
