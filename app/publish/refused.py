"""Why a change of definitions isn't made. Texts are for people; HTTP gives each its status
(``app.worker.audiences``), commands end with the text."""

from __future__ import annotations

from collections.abc import Sequence

from app.failures import CommandFailed


class ChangeRefused(CommandFailed):
    """The base of all of them. ``hint`` says what to do, if known."""

    title = "Not changed"

    def __init__(self, text: str, hint: str = "", title: str = "") -> None:
        super().__init__(f"{text}; {hint}" if hint else text)
        self.text = text
        self.hint = hint
        if title:
            self.title = title


class NotPublished(ChangeRefused):
    """There is no such definition, or it was deleted."""

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
    """Others use what is to be deleted or changed; ``faults`` say which, one a line."""

    title = "Audience is still used"

    def __init__(self, faults: list[str], title: str = "") -> None:
        super().__init__("\n".join(faults), title=title)
        self.faults = faults


class NotPermitted(ChangeRefused):
    """The settings, or what else is published, don't let a definition be as it is.

    ``faults`` (place in the definition, why) are all of them; the place may be empty.
    """

    def __init__(self, faults: Sequence[tuple[str, str]], title: str) -> None:
        super().__init__("\n".join(text for _, text in faults), title=title)
        self.faults = faults


class NotHeld(ChangeRefused):
    """There is nothing to release or to take back."""

    title = "Audience is not held"
