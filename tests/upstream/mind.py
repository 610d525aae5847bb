"""What the simulated model thinks and says. It is the same in every dialect, and knows nothing of any.

It quotes the last thing that the user said. Some words in it make the model do more:

* `all tools`: call every tool, not only the first
* `first say`: say something before calling a tool
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field


class End(enum.Enum):
    """Why an answer ends."""

    DONE = "done"
    LENGTH = "length"
    STOP_WORD = "stop word"
    CALLS = "calls"


@dataclass
class Tool:
    name: str
    schema: dict | None = None


@dataclass
class Question:
    """A request, in no dialect."""

    model: str
    text: str = ""
    input_tokens: int = 0
    tools: list[Tool] = field(default_factory=list)
    #: "auto", "none", "any", or the name of a tool
    choice: str = "auto"
    parallel: bool = True
    #: what the tools said, if the conversation ends with that
    results: list[str] = field(default_factory=list)
    #: a JSON schema for the answer; `{}` for any JSON object
    schema: dict | None = None
    thinks: bool = False
    #: media types that the user has shown
    media: list[str] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    max_tokens: int | None = None
    n: int = 1
    logprobs: bool = False
    stream: bool = False


@dataclass
class Call:
    name: str
    arguments: dict

    @property
    def json(self) -> str:
        return json.dumps(self.arguments)


@dataclass
class Answer:
    text: str
    calls: list[Call]
    end: End
    stop_word: str | None
    thought: str | None
    input_tokens: int

    @property
    def thought_tokens(self) -> int:
        return count(self.thought or "")

    @property
    def text_tokens(self) -> int:
        return count(self.text) + sum(count(call.json) + 1 for call in self.calls)

    @property
    def output_tokens(self) -> int:
        """Thinking included."""
        return self.text_tokens + self.thought_tokens


def count(text: str) -> int:
    """A token is a word here."""
    return len(text.split())


def pieces(text: str) -> list[str]:
    """The text as a stream brings it: word by word."""
    found = []
    for word in text.split(" "):
        found.append(word if not found else " " + word)
    return [piece for piece in found if piece]


def tokens(text: str) -> list[str]:
    """The text as log probabilities list it."""
    return pieces(text)


def answer(question: Question) -> Answer:
    thought = f"The user said: {question.text!r}. I should answer that." if question.thinks else None
    calls = called(question)
    if calls:
        text = "Let me look." if "first say" in question.text else ""
        return Answer(text, calls, End.CALLS, None, thought, question.input_tokens)
    text, end, stop_word = cut(said(question), question)
    return Answer(text, [], end, stop_word, thought, question.input_tokens)


def called(question: Question) -> list[Call]:
    if question.results or question.choice == "none":
        return []
    tools = question.tools
    if question.choice not in ("auto", "any"):
        tools = [tool for tool in tools if tool.name == question.choice]
    if not (question.parallel and "all tools" in question.text):
        tools = tools[:1]
    return [Call(tool.name, example(tool.schema or {"type": "object"})) for tool in tools]


def said(question: Question) -> str:
    if question.schema is not None:
        return json.dumps(example(question.schema or {"type": "object", "properties": {"answer": {"type": "string"}}}))
    if question.results:
        return f"The tools said: {'; '.join(question.results)}."
    seen = f" I saw {', '.join(question.media)}." if question.media else ""
    return f'You said: "{question.text}".{seen}'


def cut(text: str, question: Question) -> tuple[str, End, str | None]:
    """Ends the text before the first stop word, and where the tokens run out."""
    end, stop_word = End.DONE, None
    found = [(text.index(word), word) for word in question.stop if word and word in text]
    if found:
        place, stop_word = min(found)
        text, end = text[:place], End.STOP_WORD
    if question.max_tokens is not None and count(text) > question.max_tokens:
        text, end, stop_word = "".join(pieces(text)[: question.max_tokens]), End.LENGTH, None
    return text, end, stop_word


def example(schema: dict, root: dict | None = None) -> object:
    """A small value that the schema accepts."""
    root = root if root is not None else schema
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return example(target, root)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            return example(schema[word][0], root)
    kind = schema.get("type", "object")
    kind = (kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        return {name: example(field, root) for name, field in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema["items"], root)] if "items" in schema else []
    return {"string": "Paris", "integer": 7, "number": 1.5, "boolean": True, "null": None}[kind]
