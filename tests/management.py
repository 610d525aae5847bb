"""The management API as tests use it: calls with the master key, and with the keys of others."""

from __future__ import annotations

import itertools
import os
from urllib.parse import urlencode

from subject import Gateway

#: Enough for a few calls of `Management.ask`: each holds 0.00052 USD while it runs, and costs 0.0000325.
BUDGET = 0.0007

_numbers = itertools.count(1)


def unique(name: str) -> str:
    """A name that no other test has, also on another worker."""
    return f"{name}-{os.getpid()}-{next(_numbers):05}"


class Management:
    """Calls with one key; what is refused raises unless the test asks for the refusal."""

    def __init__(self, gateway: Gateway, key: str | None = None) -> None:
        self.gateway = gateway
        self.key = key or gateway.key

    def call(self, method: str, path: str, body: object = None, **query: object):
        """Status and body."""
        if query:
            path += "?" + urlencode({name: str(value) for name, value in query.items()})
        headers = {"authorization": f"Bearer {self.key}"}
        status, _, answer = self.gateway.request(method, path, body, headers=headers, key=False)
        return status, answer

    def get(self, path: str, **query: object):
        status, answer = self.call("GET", path, **query)
        assert status == 200, (path, status, answer)
        return answer

    def post(self, path: str, body: object = None, method: str = "POST"):
        status, answer = self.call(method, path, {} if body is None else body)
        assert status == 200, (path, status, answer)
        return answer

    def refused(self, path: str, body: object = None, method: str = "POST", **query: object):
        """Status and the error."""
        status, answer = self.call(method, path, body, **query)
        assert status >= 400, (path, answer)
        return status, answer["error"]

    def key_of(self, **fields: object) -> str:
        return self.post("/key/generate", fields)["key"]

    def with_key(self, key: str) -> Management:
        return Management(self.gateway, key)

    def user(self, role: str = "internal_user", **fields: object) -> tuple[str, Management]:
        """A new user and their calls."""
        name = unique(role)
        made = self.post("/user/new", {"user_id": name, "user_role": role, **fields})
        return name, self.with_key(made["key"])

    def team(self, **fields: object) -> str:
        return self.post("/team/new", {"team_alias": unique("team"), **fields})["team_id"]

    def ask(self, model: str = "to-openai", **more: object):
        """A model call: status and body."""
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50, **more}
        return self.call("POST", "/v1/chat/completions", body)
