"""The connection that a destination names in a request: whether it may be used, and by this caller."""

from __future__ import annotations

from agents.connections.published import PublishedConnections
from agents.connections.resolve import ConnectionUnusable, resolved
from agents.deliver.definitions.destination import Destination
from app.http.answers import ProblemError
from app.http.api_keys import Caller
from app.http.problems import HttpProblem
from app.publish.connection_rights import uses


def usable_by(caller: Caller, destination: Destination, published: PublishedConnections) -> Destination:
    """The destination with what its connection says. Raises HttpProblem: 422 with all that is wrong; one that
    this key may not use is as if it weren't there."""
    usable = {
        name: each for name, each in published.items() if uses(caller, each.connection, destination.project)
    }
    try:
        return resolved(destination, usable)
    except ConnectionUnusable as error:
        errors = [ProblemError(each.code, each.path, each.message, "") for each in error.problems]
        raise HttpProblem(422, "Not a destination", str(error), errors=errors) from None
