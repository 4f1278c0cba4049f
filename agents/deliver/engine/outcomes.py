"""What follows from a send: messages done, dead, or waiting for another try; lanes that pause."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from agents.deliver.content.messages import Message
from agents.deliver.contract.outcomes import Delivered, Outcome, Rejected, Retry, Unknown
from agents.deliver.definitions.destination import RetryPolicy
from agents.deliver.engine.admission import Admission
from agents.deliver.engine.complaints import Complaints
from agents.deliver.engine.lanes import Lane
from agents.deliver.engine.pauses import Pauses
from agents.deliver.engine.report import DestinationReport
from agents.deliver.secrets.secrets import Secrets

IN_THE_WAY_ATTEMPTS = 5

Bury: TypeAlias = Callable[[Message, str, str], Awaitable[None]]
"""Write a message to the dead letters with (code, reason); returns once that is certain."""


@dataclass(slots=True)
class _Failures:
    """What a send's failures ask for."""

    waiting: dict[str, list[Message]] = field(default_factory=dict)
    """By user: the first message that wasn't taken and those behind it, in order."""
    least_s: float | None = None
    """Seconds of the longest pause that was asked for."""
    whole: bool = False
    needs_change: bool = False

    def add(self, message: Message, outcome: Retry | Unknown) -> None:
        self.waiting[message.user_id] = [message]
        self.whole = self.whole or outcome.whole
        self.needs_change = self.needs_change or (isinstance(outcome, Retry) and outcome.needs_change)
        if outcome.retry_after_s is not None:
            self.least_s = max(self.least_s or 0.0, outcome.retry_after_s)


class OutcomeHandler:
    """Applies the outcomes of one destination's sends."""

    def __init__(
        self,
        retry: RetryPolicy,
        bury: Bury,
        secrets: Secrets,
        admission: Admission,
        pauses: Pauses,
        complaints: Complaints,
        report: DestinationReport,
    ) -> None:
        self._retry = retry
        self._bury = bury
        self._secrets = secrets
        self._admission = admission
        self._pauses = pauses
        self._complaints = complaints
        self._report = report

    async def handle(
        self, lane: Lane, messages: Sequence[Message], outcomes: Sequence[Outcome], epoch: int
    ) -> None:
        """The outcomes of one send, in the order of its messages. Waits until dead letters are written."""
        now_s = time.monotonic()
        failures = _Failures()
        taken = False
        for message, outcome in zip(messages, outcomes, strict=True):
            if isinstance(outcome, Delivered):
                taken = True
                self._report.delivered += len(message.transitions)
                self._done(message, epoch)
            elif isinstance(outcome, Rejected):
                taken = True
                await self._dead(message, outcome.code, outcome.reason, epoch)
            elif message.user_id in failures.waiting:
                failures.waiting[message.user_id].append(message)  # not sent, for its user's order
            else:
                await self._failed(message, outcome, failures, now_s, epoch)
        if self._admission.epoch != epoch:
            return
        if taken:
            self._report.success()
            self._report.state = "running"
            self._pauses.succeeded(lane, now_s)
        elif failures.waiting:
            lane.failed()
        self._pauses.park(lane, failures.waiting.values(), failures.least_s, now_s)
        if failures.waiting and (failures.whole or lane.failures > 1):
            self._report.state = "misconfigured" if failures.needs_change else "retrying"
            self._pauses.pause(lane, failures.whole, failures.least_s, now_s)

    async def _failed(
        self, message: Message, outcome: Retry | Unknown, failures: _Failures, now_s: float, epoch: int
    ) -> None:
        message.attempts += 1
        self._report.retries += len(message.transitions)
        if isinstance(outcome, Unknown):
            self._report.unknown += len(message.transitions)
        self._complaints.failed(message, outcome)
        given_up = self._why_given_up(message, outcome, now_s)
        if given_up is None:
            failures.add(message, outcome)
        else:
            await self._dead(message, given_up, outcome.reason, epoch)

    def _why_given_up(self, message: Message, outcome: Retry | Unknown, now_s: float) -> str | None:
        """Why a message isn't tried again; None: it is."""
        if now_s - message.first_s >= self._retry.for_ms / 1000:
            return "gave_up"
        if (
            not outcome.whole
            and message.attempts >= IN_THE_WAY_ATTEMPTS
            and self._admission.is_full
            and self._pauses.last_success_s > message.first_s
        ):
            # The others pass and this one alone doesn't, and now it holds up all that comes behind.
            return "in_the_way"
        return None

    def _done(self, message: Message, epoch: int) -> None:
        message.done = True
        self._admission.leave(epoch)

    async def _dead(self, message: Message, code: str, reason: str, epoch: int) -> None:
        await self._bury(message, code, self._secrets.masked(reason))
        self._report.dead_letters += len(message.transitions)
        self._complaints.refused(code, reason)
        self._done(message, epoch)
