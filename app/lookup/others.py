"""How other processes are asked for their users: by the same route. Their answers go on as they come."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import msgspec

from app.http.forwarding import Forwarding
from app.http.problems import HttpProblem
from app.http.projects import PROJECT
from app.lookup.held import Credentials, NoAnswer
from app.lookup.model import LookupRequest, Told

PATH: Final = "/v1/lookup"


class Passed(msgspec.Struct):
    """What another process answers, not looked into."""

    users: list[msgspec.Raw]


_decoder = msgspec.json.Decoder(Passed)


class OtherProcesses:
    """The owners of partitions, over HTTP."""

    def __init__(self, forwarding: Forwarding) -> None:
        self._forwarding = forwarding

    def url_of(self, partition: int) -> str | None:
        return self._forwarding.url_of(partition)

    async def ask(self, url: str, asked: LookupRequest, credentials: Credentials) -> list[Told]:
        body: dict[str, object] = {
            "users": [{"user_id": each.user_id} for each in asked.users],
            "deadline_ms": asked.deadline_ms,
        }
        if asked.audiences is not None:
            body["audiences"] = asked.audiences
        if asked.min_position is not None:
            body["min_position"] = asked.min_position
        if asked.attributes is not None:
            body["attributes"] = asked.attributes or True
        target = f"{url}{PATH}?{urlencode({PROJECT.name: asked.project})}"
        try:
            answer = await self._forwarding.send(target, credentials, msgspec.json.encode(body))
            if answer.status != 200:
                raise NoAnswer(f"the owner at {url} answers {answer.status}")
            answers: list[Told] = [*_decoder.decode(answer.body).users]
        except HttpProblem as problem:
            raise NoAnswer(str(problem)) from None
        except msgspec.MsgspecError as error:
            raise NoAnswer(f"the answer of the owner at {url} can't be read: {error}") from None
        if len(answers) != len(asked.users):
            raise NoAnswer(f"the owner at {url} answers for {len(answers)} of {len(asked.users)} users")
        return answers
