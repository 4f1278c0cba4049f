"""Why a change of definitions isn't made. Texts are for people; HTTP gives each its status
(``app.worker.audiences``), commands end with the text."""

from __future__ import annotations

from app.failures import CommandFailed


class ChangeRefused(CommandFailed):
    """The base of all of them. ``hint`` says what to do, if known."""

    title = "Not changed"

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(f"{text}; {hint}" if hint else text)
        self.text = text
        self.hint = hint


class NotPublished(ChangeRefused):
    """There is no such audience, or it was deleted."""

    title = "No such audience"


class NoSuchVersion(ChangeRefused):
    """The audience has no version with that number."""

    title = "No such version"


class AlreadyPublished(ChangeRefused):
    """An audience that is to be created is there."""

    title = "Audience is there already"


class QuotaUsedUp(ChangeRefused):
    """The project would have more audiences than it may have."""

    title = "Too many audiences"


class VersionMoved(ChangeRefused):
    """Somebody else made a change since the caller looked. ``version`` is the one that is there now."""

    title = "Version has changed"

    def __init__(self, text: str, version: int) -> None:
        super().__init__(text)
        self.version = version


class StillUsed(ChangeRefused):
    """Other audiences speak of what is to be deleted; ``faults`` say which, one a line."""

    title = "Audience is still used"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class NotHeld(ChangeRefused):
    """There is nothing to release or to take back."""

    title = "Audience is not held"
