"""The audiences that a destination names: whether they are published."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from agents.deliver.definitions.destination import Destination
from rules.compile.audience import PublishedAudience
from rules.parse.problems import name_hint


def audience_refusals(destination: Destination, published: Iterable[PublishedAudience]) -> list[str]:
    """Why nothing can come to the destination from audiences that it names; empty: all of them are there."""
    return [reason for _, reason in _lacking(destination, published)]


def lacking_audiences(destination: Destination, published: Iterable[PublishedAudience]) -> list[str]:
    """Ids of audiences that it names and that aren't there: deleted ones, or never published."""
    return [each for each, _ in _lacking(destination, published)]


def lacking_audience(project: str, audience: str, published: Iterable[PublishedAudience]) -> str | None:
    """Why nobody decides an audience that is named in a project; None: it is there."""
    return next((reason for _, reason in _not_there(project, [audience], published)), None)


def _lacking(destination: Destination, published: Iterable[PublishedAudience]) -> Iterator[tuple[str, str]]:
    return _not_there(destination.project, destination.audiences or (), published)


def _not_there(
    project: str, audiences: Collection[str], published: Iterable[PublishedAudience]
) -> Iterator[tuple[str, str]]:
    if not audiences:
        return
    ours = {each.audience.id: each for each in published if each.audience.project == project}
    there = [each for each, found in ours.items() if not found.deleted]
    for audience in sorted(set(audiences).difference(there)):
        if audience in ours:
            yield audience, f"audience {audience!r} of project {project!r} was deleted"
        else:
            hint = f"; {name_hint(audience, there)}" if there else ": none is published"
            yield audience, f"project {project!r} has no audience {audience!r}{hint}"
