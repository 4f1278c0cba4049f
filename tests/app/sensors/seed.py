"""A client of the audience engine, typed from its documentation alone: paths, headers, bodies, envelopes."""

from __future__ import annotations

import io
import json
import re
from typing import Any

from aiohttp import ClientSession
from yarl import URL

KEYS = {
    "notify": "#K-7IGwJpE2M9CpID4101qj2hWg9t59hoF3",
    "meta": "#K-O26BiOzc2ZdUPQBbyTGulGnncUY7rFq0",
    "online": "#K-3rC3cssQ0pX6TnaOk80aHBOH8pqg3DHf",
}
"""Those of its examples, by the group of paths that they are used for."""
ENVELOPE = ["code", "message", "request_id", "data", "error_info"]

SET_NOTIFY = """{
    "notify_config": {
        "notify_id": "test_notify",
        "notify_address": "http://10.129.17.208:8095/audience/notify_no_auth",
        "auth_type": "API_KEY",
        "auth_configs": [
            {
                "key": "key1",
                "value": "value1"
            },
            {
                "key": "key2",
                "value": "value2"
            }
        ],
        "send_mode": "RETRYABLE"
    }
}"""
NOTIFY_SHOWN = """{
  "code": "SUCCESS",
  "message": null,
  "request_id": "5cb25c615a524faf805723db827c72fa",
  "data": {
    "notify_config": {
      "id": 3,
      "notify_id": "test_notify",
      "project_ref_id": 2,
      "notify_address": "http://{host}:8095/audience/notify_no_auth",
      "auth_type": "NO_AUTH_UNSPECIFIED",
      "auth_configs": [],
      "send_mode": "RETRYABLE"
    }
  },
  "error_info": null
}"""
NOTHING = """{
  "code": "SUCCESS",
  "message": null,
  "request_id": "5cb25c615a524faf805723db827c72fa",
  "data": {},
  "error_info": null
}"""
QUERY_ALL = """{
  "query_type": "QUERY_ALL"
}"""
QUERY_SOME = """{
  "query_type": "QUERY_BY_BIZ_ID_LIST",
  "audience_biz_ids":[
    "test_12"
  ]
}"""
RULES = """{
  "code": "SUCCESS",
  "message": null,
  "request_id": "e546d53725b344b39f78e230f55c02fe",
  "data": {
    "rules": [
      {
        "audience_biz_id": "test_12",
        "rule_status": "ENABLE",
        "audience_data_ready": false,
        "create_time": "2023-06-27T06:18:54Z",
        "update_time": "2023-06-27T06:18:54Z",
        "support_abilities": [
          "CHECK_ENTITY_EXIST_IN_AUDIENCE"
        ],
        "audience_biz_name": "test12",
        "audience_rule_type": "BATCH_RULE",
        "audience_batch_rule": {
          "user_group_name": "user_group_pj2_o_1687846730155"
        }
      }
    ]
  },
  "error_info": null
}"""
ONE_USER = """{
    "audience_biz_ids": ["9999", "ddw"],
    "audience_entity_id":{
        "entity_name": "user",
        "entity_id": {
            "int_value": "2345353434"
        },
        "identity_id_map": {
            "distinct_id": "lsj_7"
        }
    }
}"""
ONE_USER_FOUND = """{
  "code": "SUCCESS",
  "message": null,
  "request_id": "cb932c13d2f140f9ad44e6d2c43eff1d",
  "results": {
    "9999": true,
    "ddw": false
  },
  "error_info": null
}"""
MANY_USERS = """{
    "audience_biz_id": "9999",
    "audience_entity_ids": [
        {
            "entity_name": "user",
            "entity_id": {"int_value": 123}
        },
        {
            "entity_name": "user",
            "entity_id": { "string_value": "account_xx_81672273"}
        },
        {
            "entity_name": "user",
            "identity_id_map": { "distinct_id": "account_xx_81672273"}
        }
    ]
}"""


def without_ids(text: str | bytes) -> str:
    """An answer of the documentation, or one of ours, without what differs from request to request, as it
    would be written without spaces."""
    found = json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
    return re.sub(r'"request_id":"[0-9a-f]{32}"', '"request_id":""', found)


class SeedClient:
    """Speaks to one process as the documentation says."""

    def __init__(self, session: ClientSession, url: str, project: str = "default") -> None:
        self._session = session
        self._url = url
        self.project = project

    async def ask(
        self, method: str, path: str, body: str | bytes | None = None, key: str | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """(status, body); the key is that of the path's group in the examples."""
        group = path.removeprefix("/express-").split("/")[0].removeprefix("audience-")
        named = {
            "api-key": KEYS.get(group, "") if key is None else key,
            "X-Organization-Id": "org-sep-3164dp4",
            "sensorsdata-project": self.project,
            **({} if body is None else {"Content-Type": "application/json"}),
            **headers,
        }
        url = URL(f"{self._url}/api/v3/focus/v1{path}", encoded=True)
        data = io.BytesIO(body.encode() if isinstance(body, str) else body or b"")
        async with self._session.request(method, url, data=data, headers=named) as answer:
            return answer.status, await answer.read()

    async def data(self, method: str, path: str, body: str | None = None) -> Any:
        """What a success holds."""
        status, text = await self.ask(method, path, body)
        assert status == 200, text
        found = json.loads(text)
        assert [each for each in found if each != "results"] == ENVELOPE
        assert (found["code"], found["message"], found["error_info"]) == ("SUCCESS", None, None)
        assert found.get("results", found["data"]) == found["data"]
        return found["data"]
