"""What each change of definitions comes to, given all that is published: pure functions.

Each gives the records to write and what the author is told, or raises why it can't be done
(``app.publish.refused``, DefinitionsInvalid). ``app.publish.lifecycle`` has them written.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from agents.deliver.definitions.destination import Destination
from agents.registry.audiences import (
    AudienceChange,
    Audiences,
    ReleaseRecord,
    audience_record,
    plan_changes,
    release_record,
)
from agents.registry.audit import Action, audit_record
from agents.registry.writer import Change
from app.publish.ask import Ask
from app.publish.audiences import check_beside_published, check_deletion, publication_ms
from app.publish.history import short_history
from app.publish.quota import check_quota
from app.publish.refused import (
    AlreadyPublished,
    NoSuchVersion,
    NotHeld,
    NotPublished,
    StillUsed,
    VersionMoved,
)
from rules.compile.audience import PublishedAudience
from rules.parse.audience import ParsedAudience
from rules.parse.definitions import parse_definitions
from rules.parse.problems import DefinitionsInvalid, name_hint
from rules.write.audience import to_document

Changes = Sequence[AudienceChange]


def apply(
    registry: Audiences,
    ask: Ask,
    wanted: Sequence[ParsedAudience],
    gone: Collection[tuple[str, str]] = (),
    *,
    only_new: bool = False,
) -> Change[Changes]:
    """Publish definitions and delete those of ``gone`` (project, id), all or none.

    ``only_new``: raises AlreadyPublished for one that is there. Raises DefinitionsInvalid, StillUsed,
    NotPublished, QuotaUsedUp, VersionMoved.
    """
    deletions = [_present(registry, project, name) for project, name in dict.fromkeys(gone)]
    _expect(registry, ask)
    staying = {
        key: replace(each, deleted=True) if each in deletions else each
        for key, each in registry.published.items()
    }
    _check_unused(deletions, staying, wanted, ask.destinations)
    if problems := check_beside_published(wanted, staying):
        raise DefinitionsInvalid(problems)
    audiences = [each.audience for each in wanted]
    changes = plan_changes(registry.published, audiences, registry.unusable_versions, ask.version_floor)
    changed = [each for each in changes if each.action != "unchanged"]
    if only_new and (there := [each for each in changes if each.action != "created"]):
        raise AlreadyPublished(
            f"project {there[0].audience.project!r} has an audience {there[0].audience.id!r} already",
            "PUT changes it",
        )
    _check_history(registry, ask, changed, staying, wanted)
    changed += [AudienceChange(each.audience, each.version + 1, "deleted") for each in deletions]
    return _publish(registry, ask, changed, [*changes, *changed[len(changed) - len(deletions) :]])


def edit(registry: Audiences, ask: Ask, wanted: ParsedAudience) -> Change[Changes]:
    """As ``apply``, of one that is there. Raises NotPublished, too."""
    _present(registry, wanted.audience.project, wanted.audience.id)
    return apply(registry, ask, [wanted])


def delete(registry: Audiences, ask: Ask, project: str, ids: Collection[str]) -> Change[Changes]:
    """Raises NotPublished, StillUsed, VersionMoved."""
    return apply(registry, ask, (), [(project, each) for each in ids])


def restore(registry: Audiences, ask: Ask, project: str, name: str, version: int) -> Change[Changes]:
    """Publish the definition of an earlier version once more. Raises as ``apply``, and NoSuchVersion."""
    return _restore(registry, ask, version_of(registry, project, name, version), "restored")


def rebuild(registry: Audiences, ask: Ask, project: str, ids: Collection[str]) -> Change[Changes]:
    """Have the definitions computed anew from the history: new versions that ask for it. Raises NotPublished,
    DefinitionsInvalid where the history is too short, VersionMoved."""
    found = [_present(registry, project, each) for each in dict.fromkeys(ids)]
    _expect(registry, ask)
    changes = [AudienceChange(each.audience, _next(registry, each), "rebuilt") for each in found]
    _check_history(registry, ask, changes, registry.published)
    return _publish(registry, ask, changes, changes)


def release(registry: Audiences, ask: Ask, project: str, name: str, held: Collection[int]) -> Change[int]:
    """Let the latest version take over, however many memberships it changes; the version.

    ``held``: the versions that wait for it. Raises NotPublished, NotHeld, VersionMoved.
    """
    now = _present(registry, project, name)
    _expect(registry, ask)
    key = f"{project}/{name}".encode()
    if now.version not in held:
        raise _not_held(now, "release")
    if (key, now.version) in registry.released:
        return Change(now.version)
    record = release_record(key, now.version, ReleaseRecord(ask.now_ms, ask.author.name))
    told = ask.author.told("audience", name, "released", ask.now_ms, project=project, version=now.version)
    return Change(now.version, [record], [audit_record(told)])


def take_back(
    registry: Audiences,
    ask: Ask,
    project: str,
    name: str,
    held: Collection[int],
    in_force: Collection[int],
) -> Change[Changes]:
    """Publish the definition that decides now once more, in place of one that is held.

    ``in_force``: the versions that took over in some partition. Raises NotPublished, NotHeld, VersionMoved.
    """
    now = _present(registry, project, name)
    _expect(registry, ask)
    if now.version not in held:
        raise _not_held(now, "take back")
    of_audience = registry.versions[f"{project}/{name}".encode()]
    before = [each for each in of_audience if each < now.version]
    deciding = [each for each in before if each in in_force] or before
    if not deciding:
        raise NotHeld(f"audience {name!r} has no version before {now.version}", "delete it instead")
    return _restore(registry, ask, of_audience[max(deciding)], "taken_back")


def version_of(registry: Audiences, project: str, name: str, version: int) -> PublishedAudience:
    """Raises NotPublished, NoSuchVersion."""
    versions = registry.versions.get(f"{project}/{name}".encode())
    if not versions:
        raise _not_there(registry, project, name)
    if version not in versions:
        known = ", ".join(map(str, sorted(versions)))
        raise NoSuchVersion(f"audience {name!r} has no version {version}", f"there are: {known}")
    return versions[version]


def _restore(registry: Audiences, ask: Ask, before: PublishedAudience, action: Action) -> Change[Changes]:
    from_version = before.version
    _expect(registry, ask)
    audience = before.audience
    file = f"version {from_version} of audience '{audience.id}'"
    parsed, problems = parse_definitions(json.dumps(to_document(audience)), file, ask.max_samples)
    problems = [*problems, *check_beside_published(parsed, registry.published, problems)]
    if problems:
        raise DefinitionsInvalid(problems)
    (change,) = plan_changes(registry.published, [audience], registry.unusable_versions, ask.version_floor)
    if change.action == "unchanged":
        if action != "taken_back":
            return Change([change])
        # What is held is a rebuild: its definition is the one that decides.
        change = replace(change, version=change.version + 1)
    change = replace(change, action=action)
    _check_history(registry, ask, [change], registry.published)
    return _publish(registry, ask, [change], [change], from_version)


def _publish(
    registry: Audiences,
    ask: Ask,
    changed: Sequence[AudienceChange],
    result: Changes,
    from_version: int | None = None,
) -> Change[Changes]:
    check_quota(registry.published, changed, ask.max_audiences)
    at_ms = publication_ms(registry.published, ask.now_ms)
    records, told = [], []
    for each in changed:
        if each.action == "unchanged":
            continue
        published = PublishedAudience(
            each.audience,
            each.version,
            deleted=each.action == "deleted",
            created_ms=at_ms,
            by=ask.author.name,
            rebuild=each.action == "rebuilt",
            goes_on_from=from_version or 0 if each.action == "taken_back" else 0,
        )
        records.append(audience_record(published))
        audit = ask.author.told(
            "audience",
            each.audience.id,
            each.action,
            ask.now_ms,
            project=each.audience.project,
            version=each.version,
            from_version=from_version,
        )
        told.append(audit_record(audit))
    return Change(list(result), records, told)


def _check_history(
    registry: Audiences,
    ask: Ask,
    changes: Changes,
    staying: Mapping[bytes, PublishedAudience],
    wanted: Sequence[ParsedAudience] = (),
) -> None:
    """Raises DefinitionsInvalid where the history is too short."""
    if problems := short_history(ask, changes, staying, registry.versions, wanted):
        raise DefinitionsInvalid(problems)


def _expect(registry: Audiences, ask: Ask) -> None:
    """Raises VersionMoved."""
    for key, versions in ask.expected.items():
        now = registry.published.get(key)
        version = 0 if now is None or (now.deleted and 0 in versions) else now.version
        if version not in versions:
            shown = key.decode().partition("/")[2]
            wanted = " or ".join(map(str, sorted(versions))) or "the expected one"
            text = f"audience {shown!r} is at version {version}, not {wanted}: it was changed meanwhile"
            raise VersionMoved(text, version)


def _present(registry: Audiences, project: str, name: str) -> PublishedAudience:
    """Raises NotPublished."""
    found = registry.published.get(f"{project}/{name}".encode())
    if found is None or found.deleted:
        raise _not_there(registry, project, name)
    return found


def _not_held(now: PublishedAudience, what: str) -> NotHeld:
    text = f"version {now.version} of audience {now.audience.id!r} is not held"
    return NotHeld(text, f"there is nothing to {what}")


def _not_there(registry: Audiences, project: str, name: str) -> NotPublished:
    known = [
        each.audience.id
        for each in registry.published.values()
        if each.audience.project == project and not each.deleted
    ]
    hint = name_hint(name, known) if known else ""
    return NotPublished(f"project {project!r} has no audience {name!r}", hint)


def _next(registry: Audiences, before: PublishedAudience) -> int:
    key = f"{before.audience.project}/{before.audience.id}".encode()
    return max(before.version, registry.unusable_versions.get(key, 0)) + 1


def _check_unused(
    deletions: Sequence[PublishedAudience],
    staying: Mapping[bytes, PublishedAudience],
    wanted: Sequence[ParsedAudience],
    destinations: Sequence[Destination],
) -> None:
    """Raises StillUsed where an audience that stays, as it will be then, or a destination speaks of one that
    goes."""
    replaced = {(each.audience.project, each.audience.id) for each in wanted}
    others = {
        key: each
        for key, each in staying.items()
        if (each.audience.project, each.audience.id) not in replaced
    }
    faults: list[str] = []
    for project in dict.fromkeys(each.audience.project for each in deletions):
        ids = [each.audience.id for each in deletions if each.audience.project == project]
        faults += check_deletion(ids, project, others)
        for each in destinations:
            if each.project == project:
                named = sorted((each.audiences or frozenset()).intersection(ids))
                text = "audience '{}' is one of destination '{}': take it out there first"
                faults += [text.format(name, each.name) for name in named]
    if faults:
        raise StillUsed(faults)
