"""The four dialects of clients, without any client library: what is sent, and what an answer says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from subject import Gateway


@dataclass(frozen=True)
class Client:
    name: str
    path: Callable[[str, bool], str]
    body: Callable[[str, str, bool], dict]
    #: the text of a whole answer
    text: Callable[[dict], str]
    #: the text that one event of a stream brings
    piece: Callable[[dict], str | None]
    #: whether an event says that the answer is complete
    closes: Callable[[dict], bool]

    def ask(self, gateway: Gateway, model: str, text: str, stream: bool = False, **headers: str) -> Told:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = self.body(model, text, stream)
        status, got, answer = gateway.post(self.path(model, stream), sent, headers=named)
        if status != 200:
            return Told(status, got, "", False, answer["error"])
        if not stream:
            return Told(status, got, self.text(answer), True, None)
        return self.read_stream(got, answer)

    def read_stream(self, headers, answer: str) -> Told:
        told = Told(200, headers, "", False, None)
        for line in answer.splitlines():
            if line == "data: [DONE]":
                told.complete = True
            elif line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                told.text += self.piece(event) or ""
                told.complete |= self.closes(event)
                failed = event.get("error") or (event.get("response") or {}).get("error")
                told.error = told.error or failed or (event if event.get("type") == "error" else None)
        return told


@dataclass
class Told:
    """What a client got."""

    status: int
    headers: dict
    text: str
    #: the answer says that this is all
    complete: bool
    error: dict | None


def chat_piece(event: dict) -> str | None:
    choices = event.get("choices")
    return choices[0]["delta"].get("content") if choices else None


def gemini_text(answer: dict) -> str:
    candidates = answer.get("candidates") or [{}]
    return "".join(part.get("text", "") for part in candidates[0].get("content", {}).get("parts", []))


CHAT = Client(
    "chat",
    lambda model, stream: "/v1/chat/completions",
    lambda model, text, stream: {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
    },
    lambda answer: answer["choices"][0]["message"]["content"],
    chat_piece,
    lambda event: False,
)
RESPONSES = Client(
    "responses",
    lambda model, stream: "/v1/responses",
    lambda model, text, stream: {"model": model, "input": text, "stream": stream},
    lambda answer: answer["output"][-1]["content"][0]["text"],
    lambda event: event["delta"] if event["type"] == "response.output_text.delta" else None,
    lambda event: event["type"] == "response.completed",
)
MESSAGES = Client(
    "messages",
    lambda model, stream: "/v1/messages",
    lambda model, text, stream: {
        "model": model,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
    },
    lambda answer: answer["content"][-1]["text"],
    lambda event: (event.get("delta") or {}).get("text"),
    lambda event: event.get("type") == "message_stop",
)
GEMINI = Client(
    "gemini",
    lambda model, stream: f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent"),
    lambda model, text, stream: {"contents": [{"role": "user", "parts": [{"text": text}]}]},
    gemini_text,
    gemini_text,
    lambda event: any(candidate.get("finishReason") for candidate in event.get("candidates") or []),
)
CLIENTS = [CHAT, RESPONSES, MESSAGES, GEMINI]
