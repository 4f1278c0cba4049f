"""The graph of topics, agents and tables: what ``turnstile topology`` prints.

Topics come from the plan that they are made by; a test holds agents and table against the Faust apps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agents.deliver.definitions.published import group_name
from agents.topics.plan import Role, TopicPlan, Wanted, wanted_topics
from app.kafka.configured import plan_of
from app.settings.tree import Settings

DESTINATION = "NAME"
"""Destinations aren't settings: in the names of their topics and groups this stands for each one's name."""
EVALUATE, DELIVER, TABLE = "evaluate", "deliver", "profiles"
"""Names of the agents and of the table in the Faust apps."""

Kind = Literal["agent", "topic", "table", "outside"]


@dataclass(frozen=True, slots=True)
class Part:
    """A node of the graph. ``about`` is one line on what it holds or does."""

    name: str
    kind: Kind
    about: str


@dataclass(frozen=True, slots=True)
class Flow:
    """Records, or answers, that go from one part to another."""

    source: Part
    target: Part
    what: str


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that workers and delivery workers read, keep and write.

    Flows are in the order in which data takes them.
    """

    app_id: str
    parts: Sequence[Part]
    flows: Sequence[Flow]

    def into(self, part: Part) -> list[Flow]:
        return [flow for flow in self.flows if flow.target == part]

    def out_of(self, part: Part) -> list[Flow]:
        return [flow for flow in self.flows if flow.source == part]


_HOLDS: Mapping[Role, tuple[str, str]] = {
    Role.SOURCE: ("user id", "input records"),
    Role.REPARTITION: ("user id", "records that came to another user's partition"),
    Role.TRANSITIONS: ("user id", "enter and exit"),
    Role.CHANGELOG: ("user id", "the rows, to recover from"),
    Role.AUDIENCES: ("project/audience/version", "definitions"),
    Role.KEYS: ("name", "hashes of API keys"),
    Role.HISTORY: ("user id", "records from before the sources begin"),
    Role.IMPORTS: ("topic/import", "which files were imported"),
    Role.PROGRESS: ("project/audience/version/partition", "how far new versions are"),
    Role.NOTIFY: ("project", "where its notices go"),
    Role.NOTICES: ("project/audience/version/instant/code", "notices that were sent"),
    Role.IDENTITIES: ("project/namespace/value/user", "who claims which identity"),
    Role.ERASURES: ("pseudonym", "receipts of erasures"),
    Role.AUDIT: ("project", "who changed what"),
    Role.DESTINATIONS: ("name", "destinations"),
    Role.PUSHES: ("project/name", "pushes"),
    Role.PUSH_RUNS: ("run/project/push/id", "what became of runs"),
    Role.CONNECTIONS: ("project/name", "connections"),
    Role.DEAD_LETTERS: ("", "records that can't be used, and why"),
    Role.UNDELIVERED: ("", "what a destination refused"),
}
"""The key of a topic's records, and what they are."""


class _Topics:
    """A part for each topic that the plan has, under its role."""

    def __init__(self, plan: TopicPlan) -> None:
        wanted = [
            *wanted_topics(plan, 1),
            plan.destinations_topic(),
            plan.connections_topic(),
            plan.undelivered_topic(DESTINATION, 1),
            plan.notices_topic(),
            *plan.push_topics(),
        ]
        self._parts = {each.name: Part(each.name, "topic", _about(each, plan)) for each in wanted}
        self._roles = {each.name: each.role for each in wanted}

    def all(self, role: Role) -> list[Part]:
        return [self._parts[name] for name, each in self._roles.items() if each is role]

    def one(self, role: Role) -> Part:
        (part,) = self.all(role)
        return part


def _about(topic: Wanted, plan: TopicPlan) -> str:
    key, what = _HOLDS[topic.role]
    if topic.name in (refused := _refused(plan)):
        what = f"{refused[topic.name]} that their topic refused"
    facts = []
    if topic.configs.get("cleanup.policy") == "compact":
        facts.append("compacted")
    if topic.configs.get("retention.ms") == "-1" and "retention.bytes" not in topic.configs:
        facts.append("kept for ever")
    if key:
        facts.append(f"key {key}")
    return ": ".join([", ".join(facts), what]) if facts else what


def _refused(plan: TopicPlan) -> Mapping[str, str]:
    """What lies on the dead-letter topics of outputs."""
    return {
        plan.dead_letters(plan.transitions): "transitions",
        plan.dead_letters(plan.identities): "claims",
    }


def build_topology(settings: Settings) -> Topology:
    """The graph for these settings; nothing is asked of Kafka."""
    plan = plan_of(settings)
    topics = _Topics(plan)
    profiles = Part(TABLE, "table", f"one row per user, RocksDB in {settings.worker.data_dir}")
    flows = [*_evaluation(plan, topics, profiles), *_delivery(settings, topics, profiles), *_pushes(topics)]
    parts = dict.fromkeys(part for flow in flows for part in (flow.source, flow.target))
    return Topology(plan.app_id, list(parts), flows)


def _evaluation(plan: TopicPlan, topics: _Topics, profiles: Part) -> Iterator[Flow]:
    """What ``turnstile worker`` reads and writes."""
    producers = Part("producers", "outside", "your services")
    operators = Part("turnstile audiences", "outside", "publishes definitions")
    callers = Part("HTTP", "outside", "lookups")
    consumers = Part("consumers", "outside", "programs that act on transitions")
    evaluate = Part(EVALUATE, "agent", f"decides who enters and leaves; consumer group {plan.app_id}")
    follow = Part("definitions", "agent", "holds all definitions, in every worker")
    doorkeeper = Part("keys", "agent", "holds all API keys, in every worker and delivery worker")
    key_makers = Part("turnstile keys", "outside", "makes and revokes API keys")
    holders = Part(
        "identities", "agent", "finds users by their identities, each worker those of its partitions"
    )
    backfill = Part("backfill", "agent", "computes new definitions from where the history begins")
    importer = Part("turnstile import", "outside", "brings history in")
    repartition, transitions = topics.one(Role.REPARTITION), topics.one(Role.TRANSITIONS)
    audiences, keys = topics.one(Role.AUDIENCES), topics.one(Role.KEYS)
    progress = topics.one(Role.PROGRESS)
    yield Flow(operators, audiences, "definitions")
    yield Flow(audiences, follow, "definitions")
    yield Flow(topics.one(Role.DESTINATIONS), follow, "which events go to destinations")
    yield Flow(follow, evaluate, "compiled rules")
    for each in topics.all(Role.SOURCE):
        yield Flow(producers, each, "events, profile updates")
    for each in topics.all(Role.SOURCE):
        yield Flow(each, evaluate, "records")
    yield Flow(repartition, evaluate, "records")
    for each in topics.all(Role.HISTORY):
        yield Flow(importer, each, "records, in order of time")
        yield Flow(each, backfill, "records")
    for each in topics.all(Role.IMPORTS):
        yield Flow(importer, each, "which files, at which offsets")
        yield Flow(each, backfill, "where each import lies")
    for each in topics.all(Role.SOURCE):
        yield Flow(each, backfill, "records, up to where the agent is")
    yield Flow(backfill, evaluate, "states of new conditions")
    yield Flow(evaluate, profiles, "rows")
    yield Flow(profiles, topics.one(Role.CHANGELOG), "changed rows, outboxes")
    yield Flow(evaluate, transitions, "after the rows are durable")
    yield Flow(evaluate, repartition, "another partition's records")
    yield Flow(evaluate, topics.one(Role.IDENTITIES), "claims, after the rows are durable")
    yield Flow(topics.one(Role.IDENTITIES), holders, "claims")
    yield Flow(topics.one(Role.ERASURES), holders, "who was erased")
    yield Flow(holders, topics.one(Role.IDENTITIES), "what erased users claimed is forgotten")
    yield Flow(holders, callers, "who an identity belongs to")
    for each in topics.all(Role.DEAD_LETTERS):
        yield Flow(evaluate, each, f"refused {_refused(plan).get(each.name, 'records')}")
    yield Flow(evaluate, topics.one(Role.ERASURES), "receipts of erasures")
    yield Flow(topics.one(Role.ERASURES), follow, "who was erased")
    yield Flow(evaluate, progress, "pending to ready, partition by partition")
    yield Flow(progress, follow, "which versions are ready")
    publisher = Part("publisher", "agent", "publishes definitions that come over HTTP, one after the other")
    yield Flow(audiences, publisher, "versions")
    yield Flow(publisher, audiences, "definitions")
    yield Flow(publisher, topics.one(Role.AUDIT), "each change")
    yield Flow(transitions, consumers, "enter, exit")
    yield Flow(profiles, callers, "memberships")
    yield Flow(key_makers, keys, "hashes")
    yield Flow(keys, doorkeeper, "hashes")
    yield Flow(doorkeeper, callers, "who may ask")
    clients = Part("clients", "outside", "systems that are told when audiences are ready")
    yield Flow(clients, topics.one(Role.NOTIFY), "notify addresses, over HTTP")
    yield from _notices(topics, clients)


def _notices(topics: _Topics, clients: Part) -> Iterator[Flow]:
    """What ``turnstile deliver`` reads and writes to tell clients how far audiences are."""
    teller = Part(
        "notices", "agent", "tells clients when audiences are ready or fail, in one delivery worker"
    )
    yield Flow(topics.one(Role.NOTIFY), teller, "where to")
    yield Flow(topics.one(Role.PROGRESS), teller, "which versions are ready")
    yield Flow(topics.one(Role.AUDIENCES), teller, "definitions")
    yield Flow(topics.one(Role.NOTICES), teller, "what was sent")
    yield Flow(teller, topics.one(Role.NOTICES), "what is sent")
    yield Flow(teller, clients, "notices")


def _delivery(settings: Settings, topics: _Topics, profiles: Part) -> Iterator[Flow]:
    """What ``turnstile deliver`` reads and writes: the agent of each destination is drawn once, for all."""
    group = group_name(settings.topics.prefix, DESTINATION)
    deliver = Part(DELIVER, "agent", f"sends on, each destination at its own pace; consumer group {group}")
    operators = Part("turnstile destinations", "outside", "publishes destinations")
    receivers = Part("receivers", "outside", "webhooks, Azure event hubs, Kafka topics")
    definitions, dead = topics.one(Role.DESTINATIONS), topics.one(Role.UNDELIVERED)
    yield Flow(operators, definitions, "definitions")
    yield Flow(definitions, deliver, "definitions")
    administrators = Part("turnstile connections", "outside", "publishes connections")
    yield Flow(administrators, topics.one(Role.CONNECTIONS), "connections")
    yield Flow(topics.one(Role.CONNECTIONS), deliver, "connections")
    yield Flow(topics.one(Role.CHANGELOG), deliver, "current members, once")
    yield Flow(topics.one(Role.AUDIENCES), deliver, "names of audiences")
    yield Flow(topics.one(Role.TRANSITIONS), deliver, "enter, exit, events")
    yield Flow(profiles, deliver, "attributes, identities, over HTTP")
    yield Flow(deliver, receivers, "messages")
    yield Flow(deliver, dead, "refused for good")
    yield Flow(dead, deliver, f"replays, group {group}.replay")


def _pushes(topics: _Topics) -> Iterator[Flow]:
    """What ``turnstile push worker`` reads and writes."""
    push = Part("push", "agent", "makes lists of members; one process of all leads")
    operators = Part("turnstile push", "outside", "publishes pushes, asks for runs")
    modules = Part("modules", "outside", "object stores, SFTP servers, Kafka topics; webhooks that are told")
    definitions, runs = topics.one(Role.PUSHES), topics.one(Role.PUSH_RUNS)
    yield Flow(operators, definitions, "definitions")
    yield Flow(operators, runs, "requests")
    yield Flow(definitions, push, "definitions")
    yield Flow(push, definitions, "definitions that come over HTTP")
    yield Flow(topics.one(Role.CONNECTIONS), push, "connections")
    yield Flow(topics.one(Role.AUDIENCES), push, "definitions")
    yield Flow(topics.one(Role.CHANGELOG), push, "rows, into stores of its own")
    yield Flow(topics.one(Role.ERASURES), push, "who was erased")
    yield Flow(runs, push, "what is asked for, what became of runs")
    yield Flow(push, runs, "what became of runs")
    yield Flow(push, modules, "lists, notifications")


def as_text(topology: Topology) -> str:
    """A tree per agent and table: what goes in, what comes out."""
    lines = [f"Topology of {topology.app_id}"]
    for part in topology.parts:
        if part.kind in ("agent", "table"):
            lines += ["", f"{part.kind} {part.name}: {part.about}", *_branches(topology, part)]
    return "\n".join(lines)


def _branches(topology: Topology, part: Part) -> Iterator[str]:
    rows = [("<-", flow.source, flow.what) for flow in topology.into(part)]
    rows += [("->", flow.target, flow.what) for flow in topology.out_of(part)]
    width = max(len(_title(other)) for _, other, _ in rows)
    what_width = max(len(what) for _, _, what in rows)
    for index, (arrow, other, what) in enumerate(rows):
        branch = "└─" if index == len(rows) - 1 else "├─"
        yield f"{branch} {arrow} {_title(other):{width}}  {what:{what_width}}  ({other.about})"


def _title(part: Part) -> str:
    return part.name if part.kind == "outside" else f"{part.kind} {part.name}"


_SHAPES: dict[Kind, tuple[str, str]] = {
    "agent": ("[[", "]]"),
    "topic": ("[/", "/]"),
    "table": ("[(", ")]"),
    "outside": ("([", "])"),
}


def as_mermaid(topology: Topology) -> str:
    """A Mermaid flowchart: agents in double frames, topics slanted, tables as drums."""
    names = {part: f"n{index}" for index, part in enumerate(topology.parts)}
    lines = ["flowchart LR"]
    for part, name in names.items():
        left, right = _SHAPES[part.kind]
        lines.append(f'  {name}{left}"{part.name}"{right}')
    lines += [f'  {names[flow.source]} -->|"{flow.what}"| {names[flow.target]}' for flow in topology.flows]
    return "\n".join(lines)
