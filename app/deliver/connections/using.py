"""The connection that a destination names in a request: whether it may be used, and by this caller."""

from __future__ import annotations

from agents.connections.connection import id_of
from agents.connections.published import PublishedConnections
from agents.connections.resolve import ConnectionUnusable, resolved
from agents.deliver.definitions.destination import Destination
from app.deliver.connections.rights import uses
from app.http.answers import ProblemError
from app.http.api_keys import Caller
from app.http.problems import HttpProblem


def usable_by(caller: Caller, destination: Destination, published: PublishedConnections) -> Destination:
    """The destination with what its connection says. Raises HttpProblem: 403 where this key may not use it,
    422 with all that is wrong."""
    try:
        whole = resolved(destination, published)
    except ConnectionUnusable as error:
        errors = [ProblemError(each.code, each.path, each.message, "") for each in error.problems]
        raise HttpProblem(422, "Not a destination", str(error), errors=errors) from None
    if destination.connection is not None:
        connection = published[id_of(destination.connection, destination.project)].connection
        if not uses(caller, connection, destination.project):
            detail = f"this key may not use the connection {destination.connection!r}"
            raise HttpProblem(403, "Not allowed", detail)
    return whole
