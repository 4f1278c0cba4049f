"""Why a destination can't be used now, or won't be without a change."""

from __future__ import annotations


class SinkUnavailable(Exception):
    """The destination can't be reached now. The text is shown; ``retry_after_s`` is the least pause."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class SinkMisconfigured(Exception):
    """It won't work without a change: a secret that isn't there, an account without rights, no such hub."""


class Unsendable(Exception):
    """One message can never be sent, whatever becomes of the destination: it is a dead letter.

    ``code`` is for programs, the text for people. Only for what depends on nothing but the message.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
