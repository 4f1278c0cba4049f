"""References to secrets as definitions had them before the settings declared secrets."""

from __future__ import annotations

from pathlib import Path

from agents.deliver.definitions.destination import Secret


def how_to_declare(secret: Secret) -> str:
    """Of a reference as definitions had them before the settings declared secrets."""
    named = Path(secret.name).name if secret.old_source == "file" else secret.name
    return (
        f"{{{secret.old_source}: {secret.name}}} is not looked up any more. Declare it in the settings, "
        f"deliver.secrets: [{{name: {named}, source: {{{secret.old_source}: {secret.name}}}, hosts: [HOST]}}]"
        f", and write {{secret: {named}}}"
    )
