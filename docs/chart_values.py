"""The generated parts of the Helm chart: the schema of settings and of variables, and the table of values.

The program's settings tree decides which names there are and which are secret, so a new setting is in the
chart after ``make docs``, and a new secret can't be rendered into a ConfigMap.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from app.settings.sources import allowed, is_secret, leaves, variable
from app.settings.tree import Settings

CHART: Final = Path(__file__).parents[1] / "helm" / "turnstile"

Part = dict[str, Any]

OWNED: Final = {
    "http.host": "the pods listen on all addresses",
    "http.port": "http.port, outside of settings, sets it",
    "http.probe_port": "http.probePort sets it",
    "http.advertised_url": "the chart knows the names of the pods",
    "http.api_keys_file": "apiKeys.existingSecret takes the keys",
    "http.tls_cert_file": "tls.existingSecret takes the certificate",
    "http.tls_key_file": "tls.existingSecret takes the key",
    "http.tls_ca_file": "tls.existingSecret takes the certificate that vouches for the others",
    "deliver.host": "the pods listen on all addresses",
    "deliver.port": "deliver.port, outside of settings, sets it",
    "deliver.probe_port": "deliver.probePort sets it",
    "deliver.secrets_dir": "deliver.secrets.existingSecret takes the files",
    "serve.host": "the pods listen on all addresses",
    "serve.port": "serve.port, outside of settings, sets it",
    "serve.probe_port": "serve.probePort sets it",
    "serve.data_dir": "the chart mounts the volume",
    "pushes.host": "the pods listen on all addresses",
    "pushes.port": "push.port, outside of settings, sets it",
    "pushes.probe_port": "push.probePort sets it",
    "pushes.data_dir": "the chart mounts the volume",
    "worker.id": "the name of the pod is the id",
    "worker.data_dir": "the chart mounts the volume",
}
"""Settings that have to agree with the pods, and what takes their place."""

SECRETS: Final = {
    "kafka.sasl_password": "kafka.existingSecret",
    "deliver.lookup_key": "deliver.lookupKey.existingSecret",
    "http.api_keys": "apiKeys.existingSecret",
}
"""The chart's own value for a secret setting; others are given in ``env`` by ``valueFrom``."""

GONE: Final = {"http.allow_open": "the setting is gone, because nothing is open any more: see apiKeys"}

READ: Final[dict[str, Part]] = {
    "kafka.bootstrap": {"type": "string", "minLength": 1},
    "topics.prefix": {"type": "string", "minLength": 1},
    "topics.events": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
    "topics.partitions": {"type": "integer", "minimum": 1},
    "topics.replication": {"type": "integer", "minimum": 1},
    "worker.app_id": {"type": "string", "minLength": 1},
}
"""What the chart's templates use themselves; the program checks everything else."""


def settings_part() -> Part:
    """The schema of ``settings``: closed, by section. A refusal says what takes the setting's place."""
    sections: dict[str, Part] = {}
    for name, part in _settings():
        section, key = name.split(".", 1)
        at = sections.setdefault(section, _closed())
        at["properties"][key] = part
    return {**_closed(), "properties": sections}


def _settings() -> Iterator[tuple[str, Part]]:
    fields = dict(leaves(Settings))
    for name in sorted({*fields, *OWNED, *GONE}):
        field = fields.get(name)
        if name in GONE:
            yield name, {"const": GONE[name]}
        elif field is not None and is_secret(field):
            takes = SECRETS.get(name, f"env takes {variable(name)} with valueFrom.secretKeyRef")
            yield name, {"const": f"not here, because everybody may read a ConfigMap: see {takes}"}
        elif name in OWNED:
            yield name, {"const": f"belongs to the chart: {OWNED[name]}"}
        else:
            assert field is not None
            about = f"{field.description} Allowed: {allowed(field)}."
            yield name, {"description": about, **READ.get(name, {})}


def variables_part() -> Part:
    """The schema of one item of a container's ``env``: variables of secret settings come out of Secrets."""
    names = [variable(name) for name, field in leaves(Settings) if is_secret(field)]
    told = "not here, because everybody may read the definition of a pod: give valueFrom.secretKeyRef"
    return {
        **_closed(),
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "value": {"type": "string"},
            "valueFrom": {"type": "object"},
        },
        "required": ["name"],
        "if": {"properties": {"name": {"enum": sorted(names)}}},
        "then": {"properties": {"value": {"const": told}}},
    }


def _closed() -> Part:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def schema(before: str) -> str:
    """values.schema.json with its generated parts as they are now."""
    tree = json.loads(before)
    tree["properties"]["settings"] = settings_part()
    tree["definitions"]["variable"] = variables_part()
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def table(values: str) -> str:
    """The table of all values, from values.yaml, where a comment stands above each value or section."""
    rows = ["| value | default | |", "|---|---|---|"]
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in values.splitlines():
        text = line.strip()
        if text.startswith("#"):
            comment.append(text.removeprefix("#").strip())
            continue
        if text:
            indent = len(line) - len(line.lstrip())
            key, _, default = text.partition(":")
            path = [*((depth, name) for depth, name in path if depth < indent), (indent, key)]
            name = ".".join(part for _, part in path)
            about = " ".join(comment).replace("|", "\\|")
            shown = f"`{json.dumps(YAML(typ='safe').load(default))}`" if default else ""
            if default or about:
                rows.append(f"| `{name}` | {shown} | {about} |")
        comment = []
    return "\n".join(rows)


BEGIN, END = "<!-- values -->\n", "\n<!-- end -->"


def readme(before: str, values: str) -> str:
    """The chart's README with its table as it is now."""
    head, _, rest = before.partition(BEGIN)
    return head + BEGIN + table(values) + END + rest.partition(END)[2]


def generated() -> Iterator[tuple[Path, str]]:
    """Each file with generated parts, and what it should hold."""
    page, form = CHART / "README.md", CHART / "values.schema.json"
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    yield form, schema(form.read_text(encoding="utf-8"))
    yield page, readme(page.read_text(encoding="utf-8"), values)
