"""How far a version is, in words: beside a bar, in a line, in a list."""

from __future__ import annotations

from typing import NamedTuple

from agents.backfill.progress.progress import VersionState
from rules.time.instants import format_instant


class Awaited(NamedTuple):
    """A version of an audience that somebody waits for."""

    project: str
    id: str
    version: int

    def __str__(self) -> str:
        return f"{self.project}/{self.id} version {self.version}"


def state_text(state: VersionState) -> str:
    """What it does now. What was counted is told as soon as every partition has counted it."""
    match state.state:
        case "pending":
            told = "waits for its turn"
        case "replaying":
            told = f"reads the history, {share_text(state)}"
        case "held":
            told = "held"
        case "cut":
            told = f"decides in {state.cut} of {state.partitions} partitions, looks at their rows"
        case "ready":
            told = "ready"
        case "failed":
            told = "failed"
    notes = [told, counts_text(state)]
    if state.history_from_ms is not None:
        notes.append(f"counts from {format_instant(state.history_from_ms)} on")
    if state.state in ("failed", "pending") and state.reason:
        notes.append(state.reason)
    return "; ".join(each for each in notes if each)


def share_text(state: VersionState) -> str:
    """100 % only when all is read."""
    return f"{int(100 * state.progress)} %"


def counts_text(state: VersionState) -> str:
    """Who enters and leaves; nothing before that is known."""
    if not state.is_counted:
        return ""
    past = state.state in ("cut", "ready")
    enter, leave = ("entered", "left") if past else ("would enter", "would leave")
    return f"{state.enters:,} {enter}, {state.exits:,} {leave}"


def held_text(awaited: Awaited, state: VersionState) -> str:
    """Why it doesn't go on, and the commands that say how it does."""
    project = "" if awaited.project == "default" else f" --project {awaited.project}"
    counts = counts_text(state)
    of = f" of {state.members:,} members" if counts else ""
    return "\n".join(
        (
            f"{awaited} is held, because it changes too much (audiences.max_change): {counts}{of}",
            "  the version before it decides until somebody says what is to be done:",
            f"  turnstile audiences release {awaited.id}{project}    lets it change them",
            f"  turnstile audiences take-back {awaited.id}{project}  goes back to the version before",
        )
    )
