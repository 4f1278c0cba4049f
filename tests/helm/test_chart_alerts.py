"""The alerts: they ask for metrics that the programs have, of this release's pods."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agents.pushes.published import Pushes
from agents.pushes.runs import Ledger
from agents.warnings import Warnings
from app.deliver.metrics import DeliveryCollector
from app.pushes.metrics import PushCollector
from app.worker.metrics import WorkerMetrics
from tests.helm.objects import Object, Render, of_kind

pytestmark = pytest.mark.slow

ON: Object = {"prometheusRule": {"enabled": True}, "serviceMonitor": {"enabled": True}}


def known() -> set[str]:
    """The names of samples that the programs give, as Prometheus has them."""
    delivery = CollectorRegistry()
    service: Any = SimpleNamespace(running={}, plan=SimpleNamespace(transitions="t"), notices=None)
    delivery.register(DeliveryCollector(service))
    names = set()
    delivery.register(PushCollector(Pushes("t"), lambda: Ledger("t"), bool))
    for registry in (WorkerMetrics(Warnings()).registry, delivery):
        for metric in registry.collect():
            names |= {metric.name + ("_total" if metric.type == "counter" else "")}
    return names


def rules(objects: list[Object]) -> list[Object]:
    (group,) = of_kind(objects, "PrometheusRule")["spec"]["groups"]
    found: list[Object] = group["rules"]
    return found


def test_alerts_ask_for_metrics_that_there_are(render: Render) -> None:
    asked = {
        name
        for rule in rules(render(**ON, deliver={"enabled": True}, push={"enabled": True}))
        for name in re.findall(r"\b([a-z_]+)\{", rule["expr"])
    }
    assert asked - {"up"} <= known()
    assert len(asked) >= 9


def test_alerts_are_about_this_release_as_its_monitors_name_it(render: Render) -> None:
    objects = render(**ON, deliver={"enabled": True}, push={"enabled": True})
    # What a ServiceMonitor makes the label job of: the name of the service that it finds.
    jobs = set()
    for monitor in (one for one in objects if one["kind"] == "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        jobs |= {
            one["metadata"]["name"]
            for one in objects
            if one["kind"] == "Service" and wanted <= one["metadata"]["labels"].items()
        }
    named = set()
    for rule in rules(objects):
        selectors = re.findall(r"\{(.*?)\}", rule["expr"])
        assert selectors
        for selector in selectors:
            assert 'namespace="marketing"' in selector
            (pattern,) = re.findall(r'job=~?"(.*?)"', selector)
            named |= set(pattern.split("|"))
    assert named == jobs


def test_delivery_has_alerts_only_where_it_runs(render: Render) -> None:
    names = [rule["alert"] for rule in rules(render(**ON))]
    assert names
    assert not [name for name in names if "Deliver" in name or "Destination" in name]


def test_alerts_follow_the_values(render: Render) -> None:
    extra = {"alert": "Mine", "expr": "vector(1)"}
    objects = render(
        prometheusRule={
            "enabled": True,
            "labels": {"release": "prometheus"},
            "alertLabels": {"team": "data"},
            "lagRecords": 12345678,
            "clockBehindSeconds": 77,
            "extraRules": [extra],
        },
        recovery={"maxSeconds": 61},
    )
    assert of_kind(objects, "PrometheusRule")["metadata"]["labels"]["release"] == "prometheus"
    *own, last = rules(objects)
    assert last == extra
    assert all(rule["labels"]["team"] == "data" for rule in own)
    assert all(rule["labels"]["severity"] in ("critical", "warning") for rule in own)
    assert all(rule["annotations"]["summary"] for rule in own)
    by_name = {rule["alert"]: rule for rule in own}
    assert "> 12345678" in by_name["TurnstileLagGrows"]["expr"]
    assert by_name["TurnstileClockBehind"]["expr"].endswith("> 77")
    assert by_name["TurnstileNotReady"]["for"] == "61s"
