"""Delivery in the chart: off unless wanted, beside the workers, with secrets of its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.objects import (
    Object,
    Refused,
    Render,
    component_of,
    components,
    container_of,
    of_kind,
    pod_of,
)

pytestmark = pytest.mark.slow

ON: Object = {"enabled": True}
ITS_OWN = {
    "extraEnv": (
        "env",
        {"name": "CRM_TOKEN", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "token"}}},
    ),
    "extraEnvFrom": ("envFrom", {"secretRef": {"name": "lake"}}),
    "extraVolumes": ("volumes", {"name": "secrets", "secret": {"secretName": "receivers"}}),
    "extraVolumeMounts": ("volumeMounts", {"name": "secrets", "mountPath": "/run/secrets"}),
}
SHARED = {
    "env": ("env", {"name": "TURNSTILE_KAFKA__BOOTSTRAP", "value": "b:9092"}),
    "envFrom": ("envFrom", {"secretRef": {"name": "kafka"}}),
    "extraVolumes": ("volumes", {"name": "certificates", "secret": {"secretName": "brokers"}}),
    "extraVolumeMounts": ("volumeMounts", {"name": "certificates", "mountPath": "/etc/certificates"}),
}


def parts(objects: list[Object], component: str) -> dict[str, list[Object]]:
    """The lists of a pod and its container, by name."""
    return {**pod_of(objects, component), **container_of(objects, component)}


def test_delivery_is_off_unless_it_is_wanted(render: Render) -> None:
    assert components(render()) == ["worker"]
    added = [one for one in render(deliver=ON) if component_of(one) == "deliver"]
    assert sorted(one["kind"] for one in added) == [
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "StatefulSet",
    ]


def test_switching_delivery_on_changes_nothing_about_the_workers(render: Render) -> None:
    def of_workers(objects: list[Object]) -> list[Object]:
        return [one for one in objects if component_of(one) == "worker"]

    assert of_workers(render()) == of_workers(render(deliver=ON))


def test_without_a_disruption_budget_there_is_none(render: Render) -> None:
    objects = render(deliver={**ON, "podDisruptionBudget": {"enabled": False}})
    assert [component_of(one) for one in objects if one["kind"] == "PodDisruptionBudget"] == ["worker"]


def test_the_container_runs_turnstile_deliver_as_a_static_member(render: Render) -> None:
    objects = render(deliver={**ON, "replicas": 3, "port": 7000, "startSeconds": 61})
    stateful_set, container = of_kind(objects, "StatefulSet", "deliver"), container_of(objects, "deliver")
    assert stateful_set["spec"]["replicas"] == 3
    assert "volumeClaimTemplates" not in stateful_set["spec"]
    assert container["args"] == ["deliver"]
    assert container["image"] == container_of(objects)["image"]
    assert container["ports"] == [
        {"name": "http", "containerPort": 7000},
        {"name": "probes", "containerPort": 6069},
    ]
    environment = {one["name"]: one for one in container["env"]}
    assert environment["TURNSTILE_WORKER__ID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert "TURNSTILE_HTTP__ADVERTISED_URL" not in environment
    assert container["startupProbe"]["failureThreshold"] == 13
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert "port: 7000" in of_kind(objects, "ConfigMap")["data"]["turnstile.yaml"]


def test_the_port_is_the_programs_own_by_default(render: Render) -> None:
    ports = container_of(render(deliver=ON), "deliver")["ports"]
    assert [port["containerPort"] for port in ports] == [6067, 6069]


@pytest.mark.parametrize("value", ITS_OWN)
def test_secrets_of_delivery_stay_out_of_the_workers(render: Render, value: str) -> None:
    where, given = ITS_OWN[value]
    objects = render(deliver={**ON, value: [given]})
    assert given in parts(objects, "deliver")[where]
    assert given not in parts(objects, "worker").get(where, [])


@pytest.mark.parametrize("value", SHARED)
def test_what_both_need_comes_first_in_both(render: Render, value: str) -> None:
    where, given = SHARED[value]
    ((its_own, mine),) = [(name, part) for name, (place, part) in ITS_OWN.items() if place == where]
    objects = render(**{value: [given]}, deliver={**ON, its_own: [mine]})
    assert parts(objects, "deliver")[where][-2:] == [given, mine]
    assert given in parts(objects, "worker")[where]


def test_lookups_go_to_the_workers_unless_told_otherwise(render: Render) -> None:
    def text(**values: Any) -> str:
        return str(of_kind(render(**values), "ConfigMap")["data"]["turnstile.yaml"])

    assert "lookup_url: http://live-turnstile.marketing.svc:8000" in text(service={"port": 8000})
    settings = {"deliver": {"lookup_url": "http://other:80", "in_flight": 7}}
    told = text(settings=settings)
    assert "lookup_url: http://other:80" in told
    assert "in_flight: 7" in told
    assert "port: 6067" in told


def test_more_pods_than_partitions_are_refused(refused: Refused) -> None:
    assert "deliver.replicas is 13, settings.topics.partitions is 12" in refused(
        deliver={**ON, "replicas": 13}
    )


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replica": 2}, "'replica'"),
        ({"port": 80}, "/deliver/port"),
        ({"resources": {"cpu": 1}}, "'cpu'"),
        ({"podDisruptionBudget": {"minAvailable": 1}}, "'minAvailable'"),
    ],
)
def test_wrong_values_are_refused_by_name(refused: Refused, values: Object, named: str) -> None:
    assert named in refused(deliver=values)
