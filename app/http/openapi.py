"""The OpenAPI 3.1 descriptions that workers and delivery workers serve at ``/openapi.json``."""

from __future__ import annotations

from typing import Any, get_args

from rules.explain.explain import Kind

_PROBLEM = {
    "description": "RFC 9457 problem",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_INSTANT = {"type": "string", "format": "date-time"}
_MAYBE_INSTANT = {"type": ["string", "null"], "format": "date-time"}
_USER = {
    "name": "user_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "Percent-encoded; '-' when the query names the user",
}
_USER_IN_QUERY = {
    "name": "user_id",
    "in": "query",
    "schema": {"type": "string"},
    "description": "For ids that no proxy lets through in a path, such as '..'; the path has '-' then",
}
_AUDIENCE = {"name": "audience", "in": "path", "required": True, "schema": {"type": "string"}}
_PROJECT = {"name": "project", "in": "query", "schema": {"type": "string", "default": "default"}}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_OPEN: dict[str, Any] = {"security": []}
_TEXT = {"description": "text"}


def _ok(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "OK", "content": {"application/json": {"schema": schema}}}


def _schema(name: str) -> dict[str, Any]:
    return _ok({"$ref": f"#/components/schemas/{name}"})


def _needs(scope: str, responses: dict[str, Any], *problems: int) -> dict[str, Any]:
    """What an operation says of the key that it takes, and of its answers."""
    told = dict.fromkeys(map(str, (*problems, 400, 401, 403, 503)), _PROBLEM)
    return {
        "description": f"The key must have the scope `{scope}` (or `admin`) and be for the project.",
        "security": [{"apiKey": []}, {"bearer": []}],
        "responses": {**responses, **dict(sorted(told.items()))},
    }


def _lookup(summary: str, schema: str, parameters: list[dict[str, Any]], *problems: int) -> dict[str, Any]:
    all_parameters = [*parameters, _USER_IN_QUERY, _PROJECT]
    return {
        "get": {
            "summary": summary,
            "parameters": all_parameters,
            **_needs("lookup", {"200": _schema(schema)}, *problems),
        }
    }


_WORKER_PATHS: dict[str, Any] = {
    "/v1/users/{user_id}/audiences": _lookup(
        "Audiences the user is in, at the instant of the request", "UserAudiences", [_USER]
    ),
    "/v1/users/{user_id}": _lookup("Attributes, identities and memberships of a user", "User", [_USER], 404),
    "/v1/users/{user_id}/explain/{audience}": _lookup(
        "Why the user is in the audience or not: the rule as a tree of sentences, facts",
        "Explanation",
        [_USER, _AUDIENCE],
        404,
        409,
    ),
    "/v1/audiences/{audience}/members/{user_id}": _lookup(
        "Whether the user is in the audience, at the instant of the request",
        "Member",
        [_AUDIENCE, _USER],
        404,
        409,
    ),
}

_DELIVER_PATHS: dict[str, Any] = {
    "/v1/destinations": {
        "get": {
            "summary": "Destinations of the key's projects, with status and definition",
            **_needs("destinations", {"200": _ok({"type": "object"})}),
        }
    },
    "/v1/destinations/{name}": {
        "parameters": [_NAME],
        "get": {
            "summary": "One of them",
            **_needs("destinations", {"200": _ok({"type": "object"})}, 404),
        },
        "put": {
            "summary": "Publish a definition, YAML or JSON; 422 with every error found",
            "requestBody": {"content": {"application/json": {}, "application/yaml": {}}},
            **_needs(
                "destinations",
                {"200": _ok({"type": "object"}), "201": _ok({"type": "object"})},
                408,
                413,
                422,
            ),
        },
        "delete": {
            "summary": "Delete it",
            **_needs("destinations", {"204": {"description": "deleted"}}, 404),
        },
    },
    "/v1/destinations/{name}:test": {
        "parameters": [_NAME],
        "post": {
            "summary": "Send one made-up transition; the request and its answer, secrets masked",
            "requestBody": {"content": {"application/json": {}}},
            **_needs("destinations", {"200": _ok({"type": "object"})}, 404, 408, 413),
        },
    },
    "/v1/destinations/{name}:replay": {
        "parameters": [_NAME],
        "post": {
            "summary": "Send the dead letters once more",
            **_needs("destinations", {"200": _ok({"type": "object"})}, 404, 409),
        },
    },
}

_PROBES: dict[str, Any] = {
    "/livez": {"get": {"summary": "The process works", **_OPEN, "responses": {"200": _TEXT, "500": _TEXT}}},
    "/readyz": {
        "get": {
            "summary": "Lookups are answered and streams run; ?verbose says why not",
            "description": "`?verbose` takes a key with the scope `admin` for all projects.",
            "security": [{}, {"apiKey": []}, {"bearer": []}],
            "parameters": [{"name": "verbose", "in": "query", "schema": {"type": "string"}}],
            "responses": {"200": _TEXT, "401": _PROBLEM, "403": _PROBLEM, "503": _TEXT},
        }
    },
    "/metrics": {
        "get": {
            "summary": "Prometheus metrics; without a key on the port of the probes",
            **_needs("admin", {"200": _TEXT}),
        }
    },
    "/openapi.json": {"get": {"summary": "This description", **_OPEN, "responses": {"200": _TEXT}}},
}

_COMPONENTS: dict[str, Any] = {
    "securitySchemes": {
        "apiKey": {"type": "apiKey", "in": "header", "name": "api-key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    },
    "schemas": {
        "Member": {
            "type": "object",
            "required": ["member", "since", "exit_at", "at"],
            "properties": {
                "member": {"type": "boolean"},
                "since": _MAYBE_INSTANT,
                "exit_at": _MAYBE_INSTANT,
                "version": {"type": "integer"},
                "at": _INSTANT,
            },
        },
        "Explanation": {
            "type": "object",
            "required": ["user_id", "project", "audience", "at", "member", "since", "exit_at", "rule"],
            "properties": {
                "user_id": {"type": "string"},
                "project": {"type": "string"},
                "audience": {"type": "string"},
                "audience_name": {"type": "string"},
                "audience_version": {"type": "integer"},
                "at": _INSTANT,
                "member": {"type": "boolean"},
                "since": _MAYBE_INSTANT,
                "exit_at": _MAYBE_INSTANT,
                "rule": {"$ref": "#/components/schemas/ExplainedNode"},
            },
        },
        "ExplainedNode": {
            "type": "object",
            "required": ["kind", "text", "value", "found", "flips_at"],
            "properties": {
                "kind": {"enum": list(get_args(Kind))},
                "text": {"type": "string", "description": "What the node asks for, as a sentence"},
                "value": {"type": "boolean"},
                "found": {"type": "string", "description": "What was found, as a sentence"},
                "flips_at": {
                    **_MAYBE_INSTANT,
                    "description": "When the value changes next if nothing more happens; null: never",
                },
                "points": {"type": "number", "description": "Of a part of a score"},
                "parts": {"type": "array", "items": {"$ref": "#/components/schemas/ExplainedNode"}},
                "rule": {"type": "object", "description": "A condition as the language writes it"},
                "facts": {"type": "object", "description": "What a condition rests on"},
            },
        },
        "User": {
            "type": "object",
            "required": ["user_id", "project", "at", "attributes", "identities", "audiences"],
            "properties": {
                "user_id": {"type": "string"},
                "project": {"type": "string"},
                "at": _INSTANT,
                "attributes": {"type": "object"},
                "identities": {"type": "object", "additionalProperties": {"type": "string"}},
                "audiences": {"type": "array", "items": {"type": "object"}},
                "state": {"type": "object"},
            },
        },
        "UserAudiences": {
            "type": "object",
            "required": ["user_id", "project", "at", "audiences"],
            "properties": {
                "user_id": {"type": "string"},
                "project": {"type": "string"},
                "at": _INSTANT,
                "audiences": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["id", "name", "since", "exit_at", "version"],
                        "properties": {
                            "id": {"type": "string"},
                            "name": {"type": "string"},
                            "since": _INSTANT,
                            "exit_at": _MAYBE_INSTANT,
                            "version": {"type": "integer"},
                        },
                    },
                },
            },
        },
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "instance": {"type": "string"},
                "hint": {"type": "string"},
            },
        },
    },
}


def openapi(section: str) -> dict[str, Any]:
    """What a worker (``http``) or a delivery worker (``deliver``) serves."""
    paths = _DELIVER_PATHS if section == "deliver" else _WORKER_PATHS
    return {
        "openapi": "3.1.0",
        "info": {"title": "Turnstile", "version": "1", "license": {"name": "Apache-2.0"}},
        "paths": {**paths, **_PROBES},
        "components": _COMPONENTS,
    }
