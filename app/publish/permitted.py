"""What destinations may use, as the settings say: secrets, and which of our own topics."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import partial
from pathlib import Path

from pydantic import BaseModel, SecretStr

from agents.deliver.definitions.destination import Destination
from agents.deliver.permissions.audiences import audience_refusals
from agents.deliver.permissions.own_topics import OwnTopics
from agents.deliver.permissions.permitted import refusals, secrets_in, topic_refusals
from agents.deliver.secrets.secrets import OwnSecrets, Secrets, SecretSources
from app.failures import CommandFailed
from app.http.api_keys import digests_in_settings
from app.kafka.configured import plan_of
from app.settings.tree import Settings
from rules.compile.audience import PublishedAudience


def own_topics_of(settings: Settings) -> OwnTopics:
    """The topics of our cluster that destinations don't write to."""
    return OwnTopics(plan_of(settings), settings.deliver.writable_sources)


def secrets_of(
    settings: Settings,
    digests: Callable[[], Set[str]] | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    project: str | None = None,
) -> Secrets:
    """The secrets that the settings declare, for one destination; our own are never among them.

    ``digests`` gives the SHA-256 of our API keys; by default of those in the settings and their file.
    ``project`` is the destination's; None: it isn't asked for.
    """
    deliver = settings.deliver
    values: dict[str, str] = {}
    files = [] if settings.file is None else [settings.file]
    for name, value in _all_values(settings):
        if isinstance(value, SecretStr):
            values[name] = value.get_secret_value()
        elif isinstance(value, Path):
            files.append(value)
    own = OwnSecrets(values, digests or partial(digests_in_settings, settings.http), tuple(files))
    return Secrets(SecretSources(deliver.declared_secrets, deliver.secrets_dir, environ, own), project)


def _all_values(section: BaseModel, path: str = "") -> Iterator[tuple[str, object]]:
    """Every setting below a section, by full name."""
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            yield from _all_values(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def check_audiences(wanted: Sequence[Destination], published: Mapping[bytes, PublishedAudience]) -> None:
    """Raises CommandFailed with all audiences that destinations name and that aren't published."""
    lacking = [
        f"destination {each.name}: {reason}"
        for each in wanted
        for reason in audience_refusals(each, published.values())
    ]
    if lacking:
        raise CommandFailed("\n".join(lacking))


def check_permitted(settings: Settings, wanted: Sequence[Destination]) -> str | None:
    """What isn't looked at, because only the settings of delivery workers tell it; None: all is.

    Raises CommandFailed with all that the settings refuse.
    """
    own = own_topics_of(settings)
    knows_secrets = "secrets" in settings.deliver.model_fields_set
    refused = [
        f"destination {each.name}: {reason}"
        for each in wanted
        for reason in (
            refusals(each, secrets_of(settings, project=each.secrets_project), own)
            if knows_secrets
            else topic_refusals(each, own)
        )
    ]
    if refused:
        raise CommandFailed("\n".join(refused))
    if knows_secrets or not any(map(secrets_in, wanted)):
        return None
    names = ", ".join(dict.fromkeys(secret.name for each in wanted for secret in secrets_in(each)))
    return (
        f"these settings have no deliver.secrets, so nobody checked whether delivery workers may send the "
        f"secrets that are named: {names}"
    )
