"""The answers to requests for changes that aren't made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiokafka.errors import KafkaError

from agents.topics.fault import TopicsUnusable
from app.failures import CommandFailed
from app.http.answers import ProblemError
from app.http.if_match import etag
from app.http.problems import HttpProblem
from app.publish.refused import (
    AlreadyPublished,
    ChangeRefused,
    NoSuchVersion,
    NotHeld,
    NotPermitted,
    NotPublished,
    QuotaUsedUp,
    StillUsed,
    VersionMoved,
)
from rules.parse.problems import DefinitionProblem, DefinitionsInvalid

_STATUS: dict[type[ChangeRefused], int] = {
    NotPublished: 404,
    NoSuchVersion: 404,
    AlreadyPublished: 409,
    StillUsed: 409,
    NotHeld: 409,
    QuotaUsedUp: 409,
    VersionMoved: 412,
    NotPermitted: 422,
}


@contextmanager
def refusals() -> Iterator[None]:
    """Raises HttpProblem in place of what changes of definitions raise."""
    try:
        yield
    except DefinitionsInvalid as invalid:
        raise not_definitions(invalid.problems) from None
    except ChangeRefused as refused:
        problem = HttpProblem(
            _STATUS[type(refused)], refused.title, refused.text, hint=refused.hint, errors=_errors(refused)
        )
        if isinstance(refused, VersionMoved) and refused.version:
            problem.headers["ETag"] = etag(refused.version)
        raise problem from None
    except (CommandFailed, TopicsUnusable) as error:
        raise HttpProblem(503, "Not available now", str(error)) from None
    except (KafkaError, TimeoutError) as error:
        detail = f"Kafka did not take it, or did not say so: {error!r}. Look whether it was made"
        raise HttpProblem(503, "Not available now", detail) from None


def not_definitions(problems: Sequence[DefinitionProblem]) -> HttpProblem:
    """422 with every error found."""
    told = "\n".join(map(str, problems))
    return HttpProblem(422, "Not a definition", told, errors=errors_of(problems))


def errors_of(problems: Sequence[DefinitionProblem]) -> list[ProblemError]:
    return [ProblemError(each.code, each.path, each.message, each.hint) for each in problems]


def _errors(refused: ChangeRefused) -> list[ProblemError]:
    if isinstance(refused, NotPermitted):
        return [ProblemError("not_permitted", path, text, "") for path, text in refused.faults]
    faults = refused.faults if isinstance(refused, StillUsed) else []
    return [ProblemError("still_used", "", each, "") for each in faults]
