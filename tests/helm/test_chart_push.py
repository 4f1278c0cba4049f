"""Pushes in the chart: off unless wanted, with volumes that outlive their pods, the secrets of delivery, an
alert for what is late."""

from __future__ import annotations

import pytest

from tests.helm.objects import Object, Render, component_of, components, container_of, of_kind, pod_of

pytestmark = pytest.mark.slow

ON: Object = {"enabled": True}


def test_pushes_are_off_unless_they_are_wanted_and_change_nothing_about_workers(render: Render) -> None:
    assert components(render()) == ["worker"]
    objects = render(push=ON)
    added = [one for one in objects if component_of(one) == "push"]
    assert sorted(one["kind"] for one in added) == ["NetworkPolicy", "Service", "StatefulSet"]
    workers = [one for one in objects if component_of(one) == "worker"]
    assert workers == [one for one in render() if component_of(one) == "worker"]


def test_a_pod_of_pushes_keeps_its_lists_and_has_the_secrets_of_delivery(render: Render) -> None:
    objects = render(push=ON, deliver={"secrets": {"existingSecret": "receivers"}})
    container, pod = container_of(objects, "push"), pod_of(objects, "push")
    assert container["args"] == ["push", "worker"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounts["data"] == "/var/lib/turnstile"
    assert mounts["destinations"] == "/run/turnstile/destinations"
    assert "data" not in [each["name"] for each in pod["volumes"]]
    (claim,) = of_kind(objects, "StatefulSet", "push")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"] == {"storage": "60Gi"}


def test_a_push_that_is_late_is_an_alert(render: Render) -> None:
    rules = of_kind(render(push=ON, prometheusRule={"enabled": True}), "PrometheusRule")["spec"]["groups"]
    found = {each["alert"]: each["expr"] for each in rules[0]["rules"]}
    assert found["TurnstilePushLate"].endswith("> 3600")
    assert "turnstile_push_failing" in found["TurnstilePushFailed"]
    assert found["TurnstilePushesNotLed"].endswith("or vector(0)) < 1"), "no pod at all is none that leads"
    assert "turnstile-push" in found["TurnstileWarnings"]
