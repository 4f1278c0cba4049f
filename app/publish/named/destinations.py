"""Publishing and deleting destinations by a command; over HTTP: ``app.deliver.http``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agents.connections.check import resolved_all
from agents.deliver.definitions.destination import Destination
from agents.deliver.definitions.parse import load_parsed
from agents.deliver.definitions.parse_destination import ParsedDestination
from agents.deliver.definitions.published import Destinations
from agents.registry.writer import Change
from app.publish.author import Author
from app.publish.files import read_definition_files
from app.publish.named.changes import Changes, deletion, present, publication
from app.publish.named.rights import Usable
from app.publish.permitted import check_audiences, check_permitted
from app.publish.topics import DefinitionTopics


def load_destination_files(paths: Sequence[Path]) -> list[ParsedDestination]:
    """The destinations of files and folders. Raises DefinitionsInvalid with every problem."""
    texts, problems = read_definition_files(paths)
    return load_parsed(texts, problems)


async def publish_destinations(
    topics: DefinitionTopics,
    parsed: Sequence[ParsedDestination],
    author: Author,
    usable: Usable,
    generations: dict[str, int],
    *,
    dry_run: bool = False,
) -> tuple[Changes[Destination], str | None]:
    """All or none; and what nobody looked at (``check_permitted``).

    Raises DefinitionsInvalid and CommandFailed with all that is wrong, and as ``DefinitionTopics.change``.
    """
    wanted = [each.destination for each in parsed]
    untold: list[str | None] = []

    def decide(registry: Destinations) -> Change[Changes[Destination]]:
        found = resolved_all(parsed, lambda project: usable(project, topics.connections.published))
        untold[:] = [check_permitted(topics.settings, found)]
        check_audiences(wanted, topics.audiences.published)
        return publication(registry, wanted, author, generations=generations)

    beside = (topics.connections, topics.audiences)
    changes = await topics.change(topics.destinations, decide, beside, dry_run=dry_run)
    return changes, untold[0]


async def delete_destinations(
    topics: DefinitionTopics, names: Sequence[str], author: Author
) -> Changes[Destination]:
    """All or none. Raises NotPublished, and as ``DefinitionTopics.change``."""

    def decide(registry: Destinations) -> Change[Changes[Destination]]:
        found = [present(registry, name) for name in dict.fromkeys(names)]
        return deletion(registry, found, author)

    return await topics.change(topics.destinations, decide)
