"""Where the files of an import lie: on this machine, or in an object store."""

from __future__ import annotations

from collections.abc import Sequence

from app.failures import CommandFailed
from app.imports.objects import is_url, objects_at
from app.imports.places import SourceFile, local_files


def find_files(places: Sequence[str]) -> list[SourceFile]:
    """The files that are named, each once; those of a folder or a pattern in the order of their names.

    Folders are looked through with all that is in them; hidden files are left out. Raises CommandFailed with
    all places that have no file.
    """
    found: dict[str, SourceFile] = {}
    wrong: list[str] = []
    for place in places:
        try:
            for each in objects_at(place) if is_url(place) else local_files(place):
                found.setdefault(each.name, each)
        except CommandFailed as failure:
            wrong.append(str(failure))
    if wrong:
        raise CommandFailed("\n".join(wrong))
    return list(found.values())
