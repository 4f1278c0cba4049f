"""The one definition that a request brings."""

from __future__ import annotations

from agents.pushes.contract.parse import load_pushes
from agents.pushes.contract.push import Push
from app.http.answers import ProblemError
from app.http.problems import HttpProblem
from rules.parse.problems import DefinitionsInvalid


def parsed_push(name: str, body: bytes) -> Push:
    """Raises HttpProblem with every problem."""
    try:
        found = load_pushes([(name, body.decode())])
    except DefinitionsInvalid as invalid:
        errors = [ProblemError(each.code, each.path, each.message, each.hint) for each in invalid.problems]
        raise HttpProblem(422, "Not a push", str(invalid), errors=errors) from None
    except UnicodeDecodeError as error:
        raise HttpProblem(400, "Bad request", f"the body isn't UTF-8: {error}") from None
    if len(found) != 1:
        raise HttpProblem(422, "Not a push", f"the body has {len(found)} definitions, and must have one")
    return found[0]
