"""The OpenAPI 3.1 description that the worker serves at ``/openapi.json``."""

from __future__ import annotations

from typing import Any

_PROBLEM = {
    "description": "RFC 9457 problem",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_INSTANT = {"type": "string", "format": "date-time"}
_MAYBE_INSTANT = {"type": ["string", "null"], "format": "date-time"}
_USER = {"name": "user_id", "in": "path", "required": True, "schema": {"type": "string"}}
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
        "/v1/audiences/{audience}/members/{user_id}": {
            "get": {
                "summary": "Whether the user is in the audience, at the instant of the request",
                "parameters": [
                    {"name": "audience", "in": "path", "required": True, "schema": {"type": "string"}},
                    _USER,
                    _PROJECT,
                ],
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
