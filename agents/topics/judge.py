"""What is wrong with the topics: from the plan and what the cluster has to a list of faults. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from agents.kafka.topic_limits import LARGE_MESSAGE_BYTES
from agents.topics.fault import Fault
from agents.topics.look import Cluster, Topic
from agents.topics.plan import LEAST_ROW_BYTES, Role, TopicPlan, Wanted
from tables.codec import source_key

APPLY = "`turnstile topics apply` mends it"
OVERHEAD_BYTES = 64 * 1024
"""What headers and the format of a batch may add to a record's value."""

_KEPT = (
    *(Role.AUDIENCES, Role.DESTINATIONS, Role.KEYS, Role.IMPORTS, Role.PROGRESS),
    *(Role.NOTIFY, Role.NOTICES, Role.ERASURES, Role.CONNECTIONS, Role.PUSHES, Role.PUSH_RUNS),
)
COMPACTED = (Role.CHANGELOG, Role.IDENTITIES, *_KEPT)
_ONE_PARTITION = (*_KEPT, Role.AUDIT)
WRITTEN = tuple(role for role in Role if role is not Role.SOURCE)
_LOST_BY_RETENTION = {
    Role.CHANGELOG: "the rows of users that were idle for long would be gone at the next recovery",
    Role.AUDIENCES: "definitions would be gone at the next start, and all members would drop out",
    Role.DESTINATIONS: "destinations would be gone at the next start, and nothing would be delivered",
    Role.CONNECTIONS: "connections would be gone at the next start, and what uses them would stop",
    Role.KEYS: "keys would be gone at the next start, and nobody could log in",
    Role.IMPORTS: "nobody would know what was imported, so new audiences would be computed without it",
    Role.IDENTITIES: "users who claimed an identity long ago would not be found by it any more",
    Role.PROGRESS: "audiences that are ready would count as new ones, and lookups of them would answer 409",
    Role.NOTIFY: "projects would get no more notices",
    Role.NOTICES: "notices would be sent once more",
    Role.PUSHES: "pushes would be gone at the next start, and no list would go out",
    Role.PUSH_RUNS: "times of a schedule that have had their run would come again",
    Role.ERASURES: "nobody could show that users were erased",
}
_LOST_BY_COMPACTION = {
    Role.REPARTITION: "records of a user that were not read yet would be removed",
    Role.TRANSITIONS: "only the last transition of each user would stay",
    Role.DEAD_LETTERS: "only the last dead letter of each key would stay",
    Role.UNDELIVERED: "only the last dead letter of each user would stay",
    Role.AUDIT: "only the last change of each project would stay",
    Role.HISTORY: "only the last record of each user would stay",
}


def missing_sources(plan: TopicPlan, cluster: Cluster) -> list[Fault]:
    """Source topics that don't exist, each with the nearest name that does."""
    own = {*plan.names, plan.destinations, plan.connections} - set(plan.events)
    others = [
        name
        for name in cluster.topics
        if name not in own and not name.endswith(".dlq") and not name.startswith("__")
    ]
    return [_missing_source(name, others) for name in plan.events if name not in cluster.topics]


def _missing_source(name: str, others: Sequence[str]) -> Fault:
    near = get_close_matches(name, others, n=1, cutoff=0.6)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return Fault(
        f"topics.events names '{name}', which",
        f"does not exist{hint}",
        "",
        "input topics belong to the producers: they are made here only if topics.create is true",
        "Give the right name, make the topic, or set topics.create and run `turnstile topics apply`",
    )


def judge(wanted: Iterable[Wanted], cluster: Cluster, record_bytes: int | None = None) -> list[Fault]:
    """What is wrong with the topics of the plan that exist.

    ``record_bytes`` is the largest value that is taken in. None: leave out limits that some record may be too
    large for; what a topic refuses becomes a dead letter, and is told then.
    """
    wanted = list(wanted)
    faults: list[Fault] = [*_alike(wanted, cluster)]
    for each in wanted:
        topic = cluster.topics.get(each.name)
        if topic is not None:
            faults += _partitions(each, topic)
            faults += _copies(each, topic, cluster.brokers)
            if topic.configs is not None:
                faults += _policy(each, topic.configs.get("cleanup.policy"))
                faults += _retention(each, topic.configs)
                faults += _sizes(each, topic.configs.get("max.message.bytes"), record_bytes)
            elif each.role in COMPACTED or each.role in _LOST_BY_COMPACTION:
                faults.append(_unseen(topic))
    return faults


def _alike(wanted: Sequence[Wanted], cluster: Cluster) -> Iterator[Fault]:
    """Source partitions that rows can't tell apart: among 10,000 there are two with a chance of 1 %."""
    known: dict[int, str] = {}
    for each in wanted:
        topic = cluster.topics.get(each.name)
        if topic is None or each.role not in (Role.SOURCE, Role.REPARTITION):
            continue
        for partition in range(topic.partitions):
            place = f"{each.name}/{partition}"
            other = known.setdefault(source_key(each.name, partition), place)
            if other != place:
                yield Fault(
                    place,
                    f"has the same short name in the rows as {other}",
                    "",
                    "records of the one would be taken for repeats of the other's",
                    "Give one of the two topics another name",
                )


def _unseen(topic: Topic) -> Fault:
    return Fault(
        topic.name,
        "has settings that this account may not see",
        "",
        "whether they lose data is not known",
        "Give it the right to describe the topic's settings (DescribeConfigs)",
        loses=False,
    )


def _partitions(wanted: Wanted, topic: Topic) -> Iterator[Fault]:
    if wanted.role is Role.REPARTITION and topic.partitions < wanted.partitions:
        yield Fault(
            topic.name,
            f"has {topic.partitions} partitions",
            f"{wanted.partitions} or more, as many as the changelog has",
            "records that came to another user's partition go through it",
            f"Add them: kafka-topics.sh --alter --topic {topic.name} --partitions {wanted.partitions}",
        )
    if wanted.role is Role.IDENTITIES and topic.partitions != wanted.partitions:
        yield Fault(
            topic.name,
            f"has {topic.partitions} partitions",
            f"{wanted.partitions}, as many as the changelog has",
            "who has a partition of the table answers for the identities in the partition of the same number",
            "Delete it while no worker runs: it is made again; then run `turnstile identities rebuild`",
        )
    if wanted.role is Role.HISTORY and topic.partitions != wanted.partitions:
        yield Fault(
            topic.name,
            f"has {topic.partitions} partitions",
            f"{wanted.partitions}, as many as the changelog has",
            "each partition of the table takes its users' history from the partition of the same number",
            "Make it again with so many, and import the history again",
        )
    if wanted.role in _ONE_PARTITION and topic.partitions != 1:
        yield Fault(
            topic.name,
            f"has {topic.partitions} partitions",
            "1",
            "only the first is written and read",
            "Nothing is lost by it; make the topic with one partition next time",
            loses=False,
        )


def _copies(wanted: Wanted, topic: Topic, brokers: int) -> Iterator[Fault]:
    needed = int((topic.configs or {}).get("min.insync.replicas") or 1)
    if topic.replicas < needed:
        yield Fault(
            topic.name,
            f"has min.insync.replicas {needed} with {_copies_text(topic.replicas)}",
            f"{topic.replicas} or less",
            "no record can be written to it",
            APPLY if wanted.role in WRITTEN else "The owner of the topic must mend it",
            loses=wanted.role in WRITTEN,
            setting=("min.insync.replicas", str(topic.replicas)) if wanted.role in WRITTEN else None,
        )
    elif topic.replicas == 1 < brokers and wanted.role in WRITTEN:
        yield Fault(
            topic.name,
            f"has one copy on a cluster of {brokers} brokers",
            "2 or more copies",
            "it is away while its broker is, and lost with its disk",
            "Add copies with `kafka-reassign-partitions.sh`",
            loses=False,
        )


def _copies_text(replicas: int) -> str:
    return "one copy" if replicas == 1 else f"{replicas} copies"


def _policy(wanted: Wanted, policy: str | None) -> Iterator[Fault]:
    if policy is None:
        return
    policies = {each.strip() for each in policy.split(",")}
    wrong = f"has cleanup.policy '{policy}'"
    if wanted.role in COMPACTED and policies != {"compact"}:
        yield Fault(
            wanted.name,
            wrong,
            "'compact'",
            _LOST_BY_RETENTION[wanted.role],
            APPLY,
            setting=("cleanup.policy", "compact"),
        )
    elif wanted.role in _LOST_BY_COMPACTION and "compact" in policies:
        yield Fault(
            wanted.name,
            wrong,
            "'delete'",
            _LOST_BY_COMPACTION[wanted.role],
            APPLY,
            setting=("cleanup.policy", "delete"),
        )
    elif wanted.role is Role.SOURCE and "compact" in policies:
        yield Fault(
            wanted.name,
            wrong,
            "'delete'",
            "records of a user that were not read yet may be removed",
            "The owner of the topic must mend it",
            loses=False,
        )


def _retention(wanted: Wanted, configs: Mapping[str, str]) -> Iterator[Fault]:
    kept_ms = configs.get("retention.ms", "-1")
    if wanted.role is Role.REPARTITION and kept_ms != "-1":
        yield Fault(
            wanted.name,
            f"has retention.ms {kept_ms}",
            "-1 (with retention.bytes instead)",
            "its records keep the timestamps of the source: records of a long backlog would go unread",
            APPLY,
            loses=False,
            setting=("retention.ms", "-1"),
        )
    if wanted.role is Role.REPARTITION and configs.get("message.timestamp.type") == "LogAppendTime":
        yield Fault(
            wanted.name,
            "has message.timestamp.type 'LogAppendTime'",
            "'CreateTime'",
            "its records must keep the timestamps of the source, by which time passes",
            APPLY,
            loses=False,
            setting=("message.timestamp.type", "CreateTime"),
        )
    if wanted.role is Role.HISTORY:
        yield from _kept_for_ever(wanted, configs)


def _kept_for_ever(wanted: Wanted, configs: Mapping[str, str]) -> Iterator[Fault]:
    """What would take records of a history topic away, or their time."""
    for name, allowed, why in (
        ("retention.ms", "-1", "its records are old already: the broker would delete them at once"),
        ("retention.bytes", "-1", "the broker would delete its oldest records"),
        ("message.timestamp.type", "CreateTime", "each record must keep the instant at which it happened"),
    ):
        if (found := configs.get(name, allowed)) != allowed:
            yield Fault(wanted.name, f"has {name} {found}", allowed, why, APPLY, setting=(name, allowed))


def _sizes(wanted: Wanted, given: str | None, record_bytes: int | None) -> Iterator[Fault]:
    if given is None:
        return
    limit_bytes = int(given)
    large = ("max.message.bytes", str(LARGE_MESSAGE_BYTES))
    wrong = f"has max.message.bytes {limit_bytes}"
    least_bytes = LEAST_ROW_BYTES if record_bytes is None else LARGE_MESSAGE_BYTES
    if wanted.role is Role.CHANGELOG and limit_bytes < least_bytes:
        yield Fault(
            wanted.name,
            wrong,
            f"{LARGE_MESSAGE_BYTES} or more",
            "records that would make their user's row larger than half of it become dead letters",
            APPLY,
            loses=limit_bytes < LEAST_ROW_BYTES,
            setting=large,
        )
    refused = {
        Role.REPARTITION: "larger records become dead letters",
        Role.DEAD_LETTERS: "larger dead letters go there without their value",
        Role.HISTORY: "larger records can't be imported",
    }.get(wanted.role)
    if refused and record_bytes is not None and limit_bytes < record_bytes + OVERHEAD_BYTES:
        yield Fault(
            wanted.name, wrong, f"{LARGE_MESSAGE_BYTES} or more", refused, APPLY, loses=False, setting=large
        )
