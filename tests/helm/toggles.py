"""Values of the chart that add, remove or change objects, by what they are for."""

from __future__ import annotations

from tests.helm.objects import Object

TOGGLES: dict[str, Object] = {
    "defaults": {},
    "no service account": {"serviceAccount": {"create": False, "name": "mine"}},
    "no disruption budget": {"podDisruptionBudget": {"enabled": False}},
    "no network policy": {"networkPolicy": {"enabled": False}, "deliver": {"enabled": True}},
    "network policy, all of it": {
        "networkPolicy": {
            "allowFrom": [{"namespaceSelector": {"matchLabels": {"team": "web"}}}],
            "metricsFrom": [],
            "egressTo": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
            "extraIngress": [{"ports": [{"port": "http"}]}],
            "extraEgress": [{"ports": [{"port": 443}]}],
        },
        "deliver": {"enabled": True, "egressTo": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]},
    },
    "secrets": {
        "kafka": {"existingSecret": "kafka", "usernameKey": "user", "ca": {"existingSecret": "brokers"}},
        "tls": {"existingSecret": "tls"},
        "deliver": {
            "enabled": True,
            "lookupKey": {"existingSecret": "lookups"},
            "secrets": {"existingSecret": "receivers"},
        },
    },
    "authorities": {
        "kafka": {"ca": {"existingConfigMap": "brokers"}},
        "tls": {"existingSecret": "tls", "caKey": ""},
    },
    "service monitor": {
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "relabelings": [{"action": "labeldrop", "regex": "pod"}],
            "metricRelabelings": [{"action": "drop", "sourceLabels": ["audience"], "regex": "x"}],
        }
    },
    "alerts": {
        "prometheusRule": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "alertLabels": {"team": "data"},
            "extraRules": [{"alert": "Mine", "expr": "vector(1)"}],
        },
        "deliver": {"enabled": True},
    },
    "keda": {"keda": {"enabled": True, "authenticationRef": "kafka"}},
    "deliver": {"deliver": {"enabled": True, "replicas": 3}},
    "deliver, all of it": {
        "deliver": {
            "enabled": True,
            "port": 7000,
            "podDisruptionBudget": {"maxUnavailable": "50%"},
            "extraEnv": [
                {"name": "CRM_TOKEN", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "token"}}}
            ],
            "extraEnvFrom": [{"secretRef": {"name": "lake"}}],
            "extraVolumes": [{"name": "secrets", "secret": {"secretName": "receivers"}}],
            "extraVolumeMounts": [{"name": "secrets", "mountPath": "/run/secrets", "readOnly": True}],
        },
        "networkPolicy": {"allowFrom": [{"namespaceSelector": {}}]},
        "serviceMonitor": {"enabled": True},
    },
    "serve, all of it": {
        "serve": {
            "enabled": True,
            "autoscaling": {"enabled": True},
            "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
        },
        "serviceMonitor": {"enabled": True},
        "persistence": {"storageClass": "fast"},
    },
    "push, all of it": {
        "push": {"enabled": True, "egressTo": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        "deliver": {"secrets": {"existingSecret": "receivers"}},
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
    },
    "push, long names": {"fullnameOverride": "a" * 70, "push": {"enabled": True}},
    "serve, long names": {"fullnameOverride": "a" * 70, "serve": {"enabled": True}},
    "deliver, long names": {"fullnameOverride": "a" * 70, "deliver": {"enabled": True}},
    "long names": {"fullnameOverride": "a" * 70},
    "everything else": {
        "image": {"digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "pull"}],
        "env": [{"name": "TURNSTILE_KAFKA__BOOTSTRAP", "value": "b:9092"}],
        "envFrom": [{"secretRef": {"name": "keys"}}],
        "http": {"port": 9999, "probePort": 9998},
        "service": {"type": "LoadBalancer", "port": 8000, "annotations": {"a": "b"}},
        "persistence": {"storageClass": "fast", "annotations": {"a": "b"}},
        "commonLabels": {"cost": "data"},
        "annotations": {"reload": "true"},
        "podLabels": {"team": "data"},
        "podAnnotations": {"a": "b"},
        "initContainers": [{"name": "wait", "image": "busybox"}],
        "extraContainers": [{"name": "proxy", "image": "envoy"}],
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-one"}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-two'}",
        ],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "priorityClassName": "high",
        "extraVolumes": [{"name": "certificates", "secret": {"secretName": "certificates"}}],
        "extraVolumeMounts": [{"name": "certificates", "mountPath": "/etc/certificates"}],
    },
}
