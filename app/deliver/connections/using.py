"""The connection that a destination names in a request: whether it may be used, and by this caller."""

from __future__ import annotations

from msgspec import structs

from agents.connections.connection import id_of
from agents.connections.published import PublishedConnections
from agents.connections.resolve import ConnectionUnusable, resolved
from agents.deliver.definitions.destination import Destination
from app.deliver.trial import TestSendResult
from app.http.answers import ProblemError
from app.http.api_keys import Caller
from app.http.problems import HttpProblem
from app.publish.named.rights import administers, usable


def shown_to(
    caller: Caller, destination: Destination, published: PublishedConnections, result: TestSendResult
) -> TestSendResult:
    """What a test send is answered with: where requests went, and with which headers, only for those who
    administer the connection."""
    if destination.connection is None:
        return result
    found = published.get(id_of(destination.connection, destination.project))
    if found is not None and administers(caller, found.definition):
        return result
    return structs.replace(result, exchanges=[_without_address(each) for each in result.exchanges])


def _without_address(exchange: object) -> object:
    if not isinstance(exchange, dict) or not isinstance(exchange.get("request"), dict):
        return exchange
    request = {key: each for key, each in exchange["request"].items() if key not in ("url", "headers")}
    return {**exchange, "request": request}


def usable_by(caller: Caller, destination: Destination, published: PublishedConnections) -> Destination:
    """The destination with what its connection says. Raises HttpProblem: 422 with all that is wrong; one that
    this key may not use is as if it weren't there."""
    try:
        return resolved(destination, usable(caller, destination.project, published))
    except ConnectionUnusable as error:
        errors = [ProblemError(each.code, each.path, each.message, "") for each in error.problems]
        raise HttpProblem(422, "Not a destination", str(error), errors=errors) from None
