"""``turnstile audiences delete``."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from app.commands.asking import Yes, ask
from app.commands.authoring.audiences.options import Ids, Project
from app.commands.options import AsJson, SettingsFile, load_quiet

if TYPE_CHECKING:
    from app.settings.tree import Settings


def delete(
    ids: Ids,
    project: Project = "default",
    yes: Yes = False,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Delete audiences, all or none; their members leave them with the cause `definition`. Asks before."""
    import asyncio

    from app.commands.authoring.audiences.changing import as_seen, carry_out, show
    from app.commands.authoring.audiences.published import read_known
    from app.publish.author import shell_author

    loaded = load_quiet(settings)
    known = asyncio.run(read_known(loaded))
    found = known.find(project, ids)
    asyncio.run(_check(loaded, project, ids))
    show((f"- will delete {project}/{each.audience.id}: {each.audience.name}" for each in found), as_json)
    ask("Delete this? All members leave.", yes)
    carry_out(loaded, lambda it: it.delete(shell_author(), project, ids, as_seen(found)), as_json)


async def _check(settings: Settings, project: str, ids: Collection[str]) -> None:
    """Raises CommandFailed where something refers to one of them."""
    from app.publish.author import shell_author
    from app.publish.lifecycle import connected_lifecycle

    async with connected_lifecycle(settings) as lifecycle:
        await lifecycle.check(shell_author(), (), [(project, each) for each in ids])
