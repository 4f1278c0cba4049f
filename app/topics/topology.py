"""The graph of topics, agents and tables, from the settings alone: what ``turnstile topology`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from agents.deliver.definitions.published import group_name
from agents.topics.delivery import dead_letter_topic, destinations_topic
from app.kafka.configured import plan_of
from app.settings.tree import Settings

DESTINATION = "NAME"
"""Destinations aren't settings: in the names of their topics and groups this stands for each one's name."""

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


def build_topology(settings: Settings) -> Topology:
    """The graph for these settings; nothing is asked of Kafka."""
    plan = plan_of(settings)
    producers = Part("producers", "outside", "your services")
    operators = Part("turnstile audiences", "outside", "publishes definitions")
    callers = Part("HTTP", "outside", "lookups")
    consumers = Part("consumers", "outside", "programs that act on transitions")
    evaluate = Part("evaluate", "agent", f"decides who enters and leaves; consumer group {plan.app_id}")
    follow = Part("definitions", "agent", "holds all definitions, in every worker")
    profiles = Part("profiles", "table", f"one row per user, RocksDB in {settings.worker.data_dir}")
    changelog = Part(plan.changelog, "topic", "compacted, key user id: the rows, to recover from")
    audiences = Part(plan.audiences, "topic", "compacted, key project/audience: definitions")
    repartition = Part(
        plan.repartition, "topic", "key user id: records that came to another user's partition"
    )
    transitions = Part(plan.transitions, "topic", "key user id: enter and exit")
    events = [Part(name, "topic", "key user id: input records") for name in plan.events]
    keys = Part(plan.keys, "topic", "compacted, key name: hashes of API keys")
    doorkeeper = Part("keys", "agent", "holds all API keys, in every worker and delivery worker")
    key_makers = Part("turnstile keys", "outside", "makes and revokes API keys")
    dead = [
        Part(plan.dead_letters(name), "topic", "records that can't be used, and why") for name in plan.sources
    ]
    refused = Part(plan.dead_letters(plan.transitions), "topic", "transitions that their topic refused")
    flows = [
        *(Flow(producers, each, "events, profile updates") for each in events),
        *(Flow(each, evaluate, "records") for each in events),
        Flow(repartition, evaluate, "records"),
        Flow(operators, audiences, "definitions"),
        Flow(audiences, follow, "definitions"),
        Flow(follow, evaluate, "compiled rules"),
        Flow(evaluate, profiles, "rows"),
        Flow(profiles, changelog, "changed rows, outboxes"),
        Flow(evaluate, transitions, "after the rows are durable"),
        Flow(evaluate, repartition, "another partition's records"),
        *(Flow(evaluate, each, "refused records") for each in dead),
        Flow(evaluate, refused, "refused transitions"),
        Flow(transitions, consumers, "enter, exit"),
        Flow(profiles, callers, "memberships"),
        Flow(key_makers, keys, "hashes"),
        Flow(keys, doorkeeper, "hashes"),
        Flow(doorkeeper, callers, "who may ask"),
        *_delivery(settings, transitions, changelog, audiences, profiles),
    ]
    parts = [producers, operators, *events, repartition, audiences, follow, evaluate]
    parts += [profiles, changelog, transitions, *dead, consumers, callers]
    parts += [part for flow in flows for part in (flow.source, flow.target)]
    return Topology(plan.app_id, list(dict.fromkeys(parts)), flows)


def _delivery(
    settings: Settings, transitions: Part, changelog: Part, audiences: Part, profiles: Part
) -> Iterator[Flow]:
    """What ``turnstile deliver`` reads and writes: the agent of each destination is drawn once, for all."""
    prefix = settings.topics.prefix
    group = group_name(prefix, DESTINATION)
    deliver = Part("deliver", "agent", f"sends on, each destination at its own pace; consumer group {group}")
    operators = Part("turnstile destinations", "outside", "publishes destinations")
    definitions = Part(destinations_topic(prefix), "topic", "compacted, key name: destinations")
    receivers = Part("receivers", "outside", "webhooks, Azure event hubs, Kafka topics")
    dead = Part(dead_letter_topic(prefix, DESTINATION), "topic", "kept for ever: what a destination refused")
    yield Flow(operators, definitions, "definitions")
    yield Flow(definitions, deliver, "definitions")
    yield Flow(changelog, deliver, "current members, once")
    yield Flow(audiences, deliver, "names of audiences")
    yield Flow(transitions, deliver, "enter, exit")
    yield Flow(profiles, deliver, "attributes, identities, over HTTP")
    yield Flow(deliver, receivers, "messages")
    yield Flow(deliver, dead, "refused for good")
    yield Flow(dead, deliver, f"replays, group {group}.replay")


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
