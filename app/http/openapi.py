"""The OpenAPI 3.1 description of routes, made from the routes themselves: served at ``/openapi.json``.

Bodies are described by the types that handlers decode and answer with (``msgspec.json.schema_components``),
so a field that is added to an answer is in the description, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, get_args, get_origin

import msgspec

from app.http.answers import (
    EVENT_STREAM,
    JSON_LINES,
    EventStream,
    Json,
    JsonLines,
    JsonLinesAsTheyCome,
    ProblemDetails,
    Text,
    answers_of,
)
from app.http.routes import Header, Query, Route

_PATH_PARAMETER = re.compile(r"\{(\w+)(?::[^{}]*)?\}")
_OF_ALL = (400, 401, 403, 429, 503)
"""Problems of every route that asks for a key."""
_OF_BODIES = (408, 413)
_KEYS: list[dict[str, Any]] = [{"apiKey": []}, {"bearer": []}]
_DESCRIBED = {"user_id": "Percent-encoded; '-' when the query names the user"}
"""Parameters of paths whose names don't say all."""


def openapi_of(routes: Sequence[Route]) -> dict[str, Any]:
    """What these routes are reached by, take and answer."""
    types = _types(routes)
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=_anything, ref_template="#/components/schemas/{name}"
    )
    described = _Described(dict(zip(types, schemas, strict=True)))
    paths: dict[str, Any] = {}
    for route in routes:
        path = _PATH_PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = described.operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Turnstile", "version": "1", "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "api-key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "schemas": components,
        },
    }


def _anything(kind: type) -> dict[str, Any]:
    """The schema of ``object``, as which we type what others wrote."""
    if kind is not object:
        raise NotImplementedError
    return {"description": "Any JSON"}


def _json_of(route: Route) -> Any:
    """The type of the answer in JSON; None: there is none."""
    if route.answer is not None:
        return route.answer
    bodies = [get_args(each)[0] for each in answers_of(route.handler) if get_origin(each) is Json]
    return bodies[0] if bodies else None


def _types(routes: Iterable[Route]) -> list[Any]:
    """All that are answered or taken, each once."""
    found: list[Any] = [ProblemDetails]
    for route in routes:
        taken = route.body.type if route.body is not None else None
        for each in (_json_of(route), taken, route.problem):
            if each is not None and each not in found:
                found.append(each)
    return found


class _Described:
    """Parts of the description, with the schemas of all types that are in it."""

    def __init__(self, schemas: Mapping[Any, Any]) -> None:
        self._schemas = schemas

    def operation(self, route: Route) -> dict[str, Any]:
        operation: dict[str, Any] = {"summary": route.summary, "security": self._security(route)}
        if route.scope is not None:
            scopes = " or ".join(f"`{each}`" for each in (route.scope, *route.also))
            whose = f"The key must have the scope {scopes} (or `admin`)"
            operation["description"] = f"{whose} and be for the project."
        parameters = [*_in_path(route.path), *map(_in_query, route.query), *map(_in_header, route.headers)]
        if parameters:
            operation["parameters"] = parameters
        if route.body is not None:
            schema = {} if route.body.type is None else {"schema": self._schemas[route.body.type]}
            operation["requestBody"] = {"content": dict.fromkeys(route.body.content_types, schema)}
        operation["responses"] = self._responses(route)
        return operation

    def _security(self, route: Route) -> list[dict[str, Any]]:
        if route.scope is not None:
            return _KEYS
        return [{}, *_KEYS] if 401 in route.problems else []

    def _responses(self, route: Route) -> dict[str, Any]:
        content: dict[str, Any] = {}
        if (kind := _json_of(route)) is not None:
            content["application/json"] = {"schema": self._schemas[kind]}
        if not {JsonLines, JsonLinesAsTheyCome}.isdisjoint(answers_of(route.handler)):
            content[JSON_LINES] = {"schema": {"type": "string"}}
        if EventStream in answers_of(route.handler):
            content[EVENT_STREAM] = {"schema": {"type": "string"}}
        if Text in answers_of(route.handler):
            content["text/plain"] = {"schema": {"type": "string"}}
        form = "application/problem+json" if route.problem is None else "application/json"
        problem = {form: {"schema": self._schemas[route.problem or ProblemDetails]}}
        problems = {*route.problems, *(_OF_ALL if route.scope is not None else ())}
        if route.body is not None:
            problems.update(_OF_BODIES)
        responses = {
            **{status: {"description": _phrase(status), "content": problem} for status in problems},
            **{status: _answer(status, content, route.answer_headers) for status in route.statuses},
        }
        return {str(status): responses[status] for status in sorted(responses)}


def _answer(status: int, content: dict[str, Any], headers: Sequence[Header]) -> dict[str, Any]:
    has_body = content and status != HTTPStatus.NO_CONTENT
    described = {
        each.name: {"description": each.description, "schema": {"type": "string"}} for each in headers
    }
    return {
        "description": _phrase(status),
        **({"headers": described} if has_body and described else {}),
        **({"content": content} if has_body else {}),
    }


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _in_path(path: str) -> Iterator[dict[str, Any]]:
    for name in _PATH_PARAMETER.findall(path):
        described = {"description": _DESCRIBED[name]} if name in _DESCRIBED else {}
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, **described}


def _in_header(header: Header) -> dict[str, Any]:
    return {
        "name": header.name,
        "in": "header",
        "required": header.must,
        "description": header.description,
        "schema": {"type": "string"},
    }


def _in_query(query: Query) -> dict[str, Any]:
    schema = {"type": "string", **({} if query.default is None else {"default": query.default})}
    described = {"description": query.description} if query.description else {}
    return {"name": query.name, "in": "query", "schema": schema, **described}
