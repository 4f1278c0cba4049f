"""Network policies of the chart: only named traffic passes, and the notes say so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.helm.objects import (
    CHART,
    KEYS,
    Helm,
    Object,
    Render,
    of_kind,
)

pytestmark = pytest.mark.slow


BOTH = ("worker", "deliver")


@pytest.mark.parametrize("component", BOTH)
def test_by_default_only_the_releases_pods_get_in_and_monitoring_reads_metrics(
    render: Render, component: str
) -> None:
    objects = render(deliver={"enabled": True})
    policy = of_kind(objects, "NetworkPolicy", component)["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    http, probes = policy["ingress"]
    assert http["ports"] == [{"port": "http"}]
    (peer,) = http["from"]
    for each in BOTH:
        labels = of_kind(objects, "StatefulSet", each)["spec"]["template"]["metadata"]["labels"]
        assert peer["podSelector"]["matchLabels"].items() <= labels.items()
    assert peer.keys() == {"podSelector"}
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "live"
    assert probes["ports"] == [{"port": "probes"}]
    assert probes["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]


@pytest.mark.parametrize("component", BOTH)
def test_others_get_in_where_they_are_named(render: Render, component: str) -> None:
    web, prometheus, rule = (
        [{"namespaceSelector": {"matchLabels": {"team": "web"}}}],
        [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        {"ports": [{"port": 1}]},
    )
    policy = {"allowFrom": web, "metricsFrom": prometheus, "extraIngress": [rule]}
    objects = render(networkPolicy=policy, deliver={"enabled": True})
    http, probes, extra = of_kind(objects, "NetworkPolicy", component)["spec"]["ingress"]
    assert http["from"][1:] == web
    assert probes["from"] == prometheus
    assert extra == rule


def test_no_one_named_for_metrics_is_no_one_and_not_everyone(render: Render) -> None:
    (http,) = of_kind(render(networkPolicy={"metricsFrom": []}), "NetworkPolicy")["spec"]["ingress"]
    assert http["ports"] == [{"port": "http"}]
    assert http["from"]


def outward(objects: list[Object], component: str) -> list[tuple[list[object], object]]:
    """The ports of each egress rule, and where to; None is any address."""
    rules = of_kind(objects, "NetworkPolicy", component)["spec"]["egress"]
    return [([port["port"] for port in rule["ports"]], rule.get("to")) for rule in rules]


def test_pods_reach_names_kafka_and_workers_and_only_delivery_reaches_receivers(render: Render) -> None:
    objects = render(
        deliver={"enabled": True}, settings={"kafka": {"bootstrap": "one:9092, two:19094,[::1]:9093"}}
    )
    workers = of_kind(objects, "StatefulSet")["spec"]["selector"]["matchLabels"]
    own = (["http"], [{"podSelector": {"matchLabels": workers}}])
    for_all = [([53, 53], None), ([9092, 9093, 19094], None), own]
    assert outward(objects, "worker") == for_all
    assert outward(objects, "deliver") == [*for_all, ([443, 5671], None)]


def test_where_pods_reach_to_may_be_narrowed(render: Render) -> None:
    kafka = [{"namespaceSelector": {"matchLabels": {"team": "kafka"}}}]
    world = [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]
    objects = render(
        networkPolicy={"egressTo": kafka, "extraEgress": [{"ports": [{"port": 80}]}]},
        deliver={"enabled": True, "egressTo": world, "egressPorts": [443]},
    )
    found = outward(objects, "deliver")
    assert ([9092, 9093], kafka) in found
    assert ([443], world) in found
    assert ([80], None) in found
    assert ([9092, 9093], kafka) in outward(objects, "worker")


def test_the_notes_say_who_gets_in(helm: Helm, tmp_path: Path) -> None:
    # Only an installation shows notes, and needs a cluster for it: here they are a template like the others.
    chart = shutil.copytree(CHART, tmp_path / "chart")
    notes = chart / "templates" / "NOTES.txt"
    text = '{{- define "notes" }}' + notes.read_text() + '{{ end }}\nnotes: {{ include "notes" . | toJson }}'
    notes.unlink()
    (chart / "templates" / "notes.yaml").write_text(text)

    def shown(**values: Any) -> str:
        arguments = ("live", str(chart), "--namespace", "marketing", "--show-only", "templates/notes.yaml")
        done = helm("template", *arguments, values={**KEYS, **values})
        assert done.returncode == 0, done.stderr
        return str(YAML(typ="safe").load(done.stdout)["notes"])

    closed = shown()
    assert "networkPolicy.allowFrom lets others in" in closed
    assert "http://live-turnstile.marketing.svc:80" in closed
    opened = shown(networkPolicy={"allowFrom": [{"namespaceSelector": {}}]}, tls={"existingSecret": "tls"})
    assert "networkPolicy.allowFrom may reach" in opened
    assert "https://live-turnstile.marketing.svc:80" in opened
