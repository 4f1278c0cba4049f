"""What goes wrong at a destination: all in its report, as much as is readable in the log, secrets masked."""

from __future__ import annotations

import time

import structlog

from agents.deliver.content.messages import Message
from agents.deliver.contract.outcomes import Retry, Unknown
from agents.deliver.engine.report import DestinationReport
from agents.deliver.secrets.secrets import Secrets

log = structlog.get_logger("turnstile.deliver")

COMPLAIN_SECONDS = 30.0
"""Failures are logged so often at most; counters and the status have them all."""


class Complaints:
    """Those about one destination."""

    def __init__(self, destination: str, secrets: Secrets, report: DestinationReport) -> None:
        self._destination = destination
        self._secrets = secrets
        self._report = report
        self._logged_s = -COMPLAIN_SECONDS

    def failed(self, message: Message, outcome: Retry | Unknown) -> None:
        """A send that will be repeated."""
        text = self._secrets.masked(f"{outcome.code}: {outcome.reason}")
        self._report.error(text)
        now = time.monotonic()
        if now - self._logged_s > COMPLAIN_SECONDS:
            self._logged_s = now
            log.warning(
                "delivery_failed", destination=self._destination, error=text, attempts=message.attempts
            )

    def refused(self, code: str, reason: str) -> None:
        """A message that became a dead letter."""
        self._report.error(self._secrets.masked(f"{code}: {reason}"))

    def unusable(self, state: str, error: Exception) -> None:
        """The sink couldn't be opened; logged once as long as it is for the same reason."""
        self._report.state = state
        text = self._secrets.masked(str(error))
        if text != self._report.last_error:
            log.error("destination_unusable", destination=self._destination, state=state, error=text)
        self._report.error(text)

    def crashed(self, error: BaseException) -> None:
        """A bug."""
        self._report.state = "crashed"
        self._report.error(self._secrets.masked(repr(error)))
