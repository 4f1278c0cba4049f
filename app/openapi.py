"""The OpenAPI 3.1 description that the worker serves at ``/openapi.json``."""

from __future__ import annotations

from typing import Any, get_args

from rules.explain import Kind

_PROBLEM = {
    "description": "RFC 9457 problem",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_INSTANT = {"type": "string", "format": "date-time"}
_MAYBE_INSTANT = {"type": ["string", "null"], "format": "date-time"}
_USER = {"name": "user_id", "in": "path", "required": True, "schema": {"type": "string"}}
_AUDIENCE = {"name": "audience", "in": "path", "required": True, "schema": {"type": "string"}}
_PROJECT = {"name": "project", "in": "query", "schema": {"type": "string", "default": "default"}}


def _ok(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "OK", "content": {"application/json": {"schema": schema}}}


OPENAPI: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Turnstile", "version": "1", "license": {"name": "Apache-2.0"}},
    "security": [{"apiKey": []}],
    "paths": {
        "/v1/users/{user_id}/audiences": {
            "get": {
                "summary": "Audiences the user is in, at the instant of the request",
                "parameters": [_USER, _PROJECT],
                "responses": {
                    "200": _ok({"$ref": "#/components/schemas/UserAudiences"}),
                    "401": _PROBLEM,
                    "503": _PROBLEM,
                },
            }
        },
        "/v1/users/{user_id}": {
            "get": {
                "summary": "Attributes, identities and memberships of a user",
                "parameters": [_USER, _PROJECT],
                "responses": {
                    "200": _ok({"$ref": "#/components/schemas/User"}),
                    "401": _PROBLEM,
                    "404": _PROBLEM,
                    "503": _PROBLEM,
                },
            }
        },
        "/v1/users/{user_id}/explain/{audience}": {
            "get": {
                "summary": "Why the user is in the audience or not: the rule as a tree of sentences, facts",
                "parameters": [_USER, _AUDIENCE, _PROJECT],
                "responses": {
                    "200": _ok({"$ref": "#/components/schemas/Explanation"}),
                    "401": _PROBLEM,
                    "404": _PROBLEM,
                    "409": _PROBLEM,
                    "503": _PROBLEM,
                },
            }
        },
        "/v1/audiences/{audience}/members/{user_id}": {
            "get": {
                "summary": "Whether the user is in the audience, at the instant of the request",
                "parameters": [_AUDIENCE, _USER, _PROJECT],
                "responses": {
                    "200": _ok({"$ref": "#/components/schemas/Member"}),
                    "401": _PROBLEM,
                    "404": _PROBLEM,
                    "409": _PROBLEM,
                    "503": _PROBLEM,
                },
            }
        },
        "/livez": {"get": {"summary": "The process works", "responses": {"200": {"description": "ok"}}}},
        "/readyz": {
            "get": {
                "summary": "Lookups are answered and streams run; ?verbose says why not",
                "responses": {"200": {"description": "ready"}, "503": {"description": "not ready"}},
            }
        },
        "/metrics": {"get": {"summary": "Prometheus metrics", "responses": {"200": {"description": "text"}}}},
    },
    "components": {
        "securitySchemes": {"apiKey": {"type": "apiKey", "in": "header", "name": "api-key"}},
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
    },
}
