"""The shipped profiles, and whether a push is one for the system of its profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec
from ruamel.yaml import YAML

from agents.pushes.content.columns import called
from agents.pushes.content.origins import pushed_back
from agents.pushes.contract.push import Encryption, Format, Push
from rules.parse.problems import name_hint

Every = Literal["once", "hourly", "daily", "weekly", "monthly", "cron"]
_FOLDER: Final = Path(__file__).parent


class ProfileId(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An id type that the system takes. ``column``: what it must be called; None: as one likes."""

    type: str
    encryptions: tuple[Encryption, ...]
    column: str | None = None


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``system``: what attributes that came from there have as their origin. ``assumed``: what no document of
    the system says. ``push``: a definition to begin with. ``is_module``: its pushes share the queue of
    internal modules. ``is_notified``: it fetches a list when it is told of it."""

    name: str
    label: str
    system: str
    assumed: tuple[str, ...]
    ids: tuple[ProfileId, ...]
    attributes: bool
    push: dict[str, Any]
    one_encryption: bool = False
    is_module: bool = False
    is_notified: bool = False
    formats: tuple[Format, ...] = ("csv", "jsonl")
    every: tuple[Every, ...] = get_args(Every)


@cache
def profiles() -> Mapping[str, Profile]:
    """All that are shipped, by name."""
    reader = YAML(typ="safe", pure=True)
    found = (reader.load(file.read_text(encoding="utf-8")) for file in sorted(_FOLDER.glob("*.yaml")))
    return {each.name: each for each in (msgspec.convert(data, Profile) for data in found)}


def profile_problems(push: Push, name: str, origins: Mapping[str, str]) -> tuple[str, ...]:
    """Why a push isn't for the system of a profile, all reasons at once.

    ``origins``: the system that each attribute came from.
    """
    profile = profiles().get(name)
    if profile is None:
        return (f"there is no profile '{name}'; {name_hint(name, profiles())}",)
    return (*_wrong_ids(push, profile), *_wrong_rest(push, profile, origins))


def _wrong_ids(push: Push, profile: Profile) -> Iterator[str]:
    taken = {each.type: each for each in profile.ids}
    for id in push.content.ids:
        known = taken.get(id.type)
        if known is None:
            yield f"{profile.label} doesn't take the id type {id.type}; {name_hint(id.type, taken)}"
            continue
        if id.encryption not in known.encryptions:
            allowed = ", ".join(known.encryptions)
            yield f"{profile.label} takes {id.type} as {allowed}, not as {id.encryption}"
        if known.column is not None and called(id) != known.column:
            yield f"{profile.label} has {id.type} as {known.column}, not as {called(id)}: give it that column"
    encryptions = sorted({each.encryption for each in push.content.ids})
    if profile.one_encryption and len(encryptions) > 1:
        yield f"{profile.label} takes one encryption a push, not {' and '.join(encryptions)}"


def _wrong_rest(push: Push, profile: Profile, origins: Mapping[str, str]) -> Iterator[str]:
    content = push.content
    if content.attributes and not profile.attributes:
        yield f"{profile.label} takes ids alone, no attributes"
    for attribute in pushed_back(content, origins, profile.system):
        yield f"{attribute} came from {profile.label}, so it isn't pushed back there"
    if content.format.kind not in profile.formats:
        allowed = " or ".join(profile.formats)
        yield f"{profile.label} takes files of the format {allowed}, not {content.format.kind}"
    if profile.is_notified and "notify" not in push.target:
        yield f"{profile.label} fetches a list when it is told of it: target.notify names its webhook"
    if push.schedule.kind not in profile.every:
        yield f"{profile.label} takes lists {', '.join(profile.every)}, not {push.schedule.kind}"


def started_definition(profile: Profile) -> str:
    """A definition to begin with, as YAML; comments say what is assumed."""
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = StringIO()
    writer.dump(profile.push, text)
    assumed = "".join(f"# - {each}\n" for each in profile.assumed)
    return f"# For {profile.label}. Assumed, because no document of it says so:\n{assumed}{text.getvalue()}"
