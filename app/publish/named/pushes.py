"""Publishing and deleting pushes, with the connections at hand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from agents.pushes.contract.parse import load_parsed
from agents.pushes.contract.parse_push import ParsedPush
from agents.pushes.contract.push import Push
from agents.pushes.published import Pushes
from agents.registry.writer import Change
from app.publish.author import Author
from app.publish.files import read_definition_files
from app.publish.named.changes import Changes, deletion, present, publication
from app.publish.named.push_checks import PushChecks
from app.publish.named.rights import Usable
from app.publish.topics import DefinitionTopics

Decided = Change[Changes[Push]]


def load_push_files(paths: Sequence[Path]) -> list[ParsedPush]:
    """The pushes of files and folders. Raises DefinitionsInvalid with every problem."""
    texts, problems = read_definition_files(paths)
    return load_parsed(texts, problems)


async def publish_pushes(
    topics: DefinitionTopics,
    check: Callable[[PushChecks], Sequence[Push]],
    author: Author,
    usable: Usable,
    expected: Collection[int] | None = None,
    *,
    dry_run: bool = False,
) -> Changes[Push]:
    """All that ``check`` gives or none. Raises what it raises, VersionMoved, and as
    ``DefinitionTopics.change``."""

    def decide(registry: Pushes) -> Decided:
        connections, audiences = topics.connections.published, topics.audiences.published
        checks = PushChecks(topics.settings, lambda project: usable(project, connections), audiences)
        return publication(registry, check(checks), author, expected)

    beside = (topics.connections, topics.audiences)
    return await topics.change(topics.pushes, decide, beside, dry_run=dry_run)


async def delete_push(
    topics: DefinitionTopics,
    project: str,
    name: str,
    author: Author,
    expected: Collection[int] | None = None,
) -> Changes[Push]:
    """Raises NotPublished, VersionMoved, and as ``DefinitionTopics.change``."""

    def decide(registry: Pushes) -> Decided:
        return deletion(registry, [present(registry, name, project)], author, expected)

    return await topics.change(topics.pushes, decide)
