"""Who changes something: a key's name over HTTP, the account of the shell in a command."""

from __future__ import annotations

import getpass
from dataclasses import dataclass

from msgspec import UNSET

from agents.registry.audit import Action, AuditRecord, Kind, Via
from rules.time.instants import format_instant


@dataclass(frozen=True, slots=True)
class Author:
    """``name`` is empty where no key is asked for."""

    name: str
    via: Via

    def told(
        self,
        kind: Kind,
        name: str,
        action: Action,
        at_ms: int,
        *,
        project: str,
        version: int | None = None,
        from_version: int | None = None,
    ) -> AuditRecord:
        """What the audit topic says of a change."""
        return AuditRecord(
            at=format_instant(at_ms),
            by=self.name,
            via=self.via,
            project=project,
            kind=kind,
            id=name,
            action=action,
            version=UNSET if version is None else version,
            from_version=UNSET if from_version is None else from_version,
        )


def shell_author() -> Author:
    """The account that runs a command."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = ""
    return Author(name, "command")
