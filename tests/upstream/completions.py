"""OpenAI Completions, legacy: https://platform.openai.com/docs/api-reference/completions (read 2026-11-21)."""

from __future__ import annotations

import re

from . import frames
from .mind import Answer, End, Question, count, pieces
from .openai_error import error, error_event, sign_in
from .refusal import need, without_nulls

__all__ = ["PATH", "CLOSING_FRAMES", "error", "error_event", "events", "read", "sign_in", "whole"]

PATH = re.compile(r"/v1/completions")
CLOSING_FRAMES = 2

FIELDS = set(
    "model prompt best_of echo frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed stop stream "
    "stream_options suffix temperature top_p user".split()
)
FINISH = {End.DONE: "stop", End.STOP_WORD: "stop", End.LENGTH: "length"}


def read(body: dict, path: re.Match) -> Question:
    body = without_nulls(body)
    for name in body:
        need(name in FIELDS, f"Unrecognized request argument supplied: {name}")
    for name in ("model", "prompt"):
        need(name in body, f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    prompt = body["prompt"] if isinstance(body["prompt"], str) else body["prompt"][0]
    stop = body.get("stop", [])
    return Question(
        model=body["model"],
        text=prompt,
        input_tokens=count(prompt),
        stop=[stop] if isinstance(stop, str) else stop,
        max_tokens=body.get("max_tokens"),
        n=body.get("n", 1),
        stream=body.get("stream", False),
    )


def part(question: Question, choices: list[dict], **more: object) -> dict:
    head = {"id": "cmpl-upstream1", "object": "text_completion", "created": 1_770_000_000, "model": question.model}
    return {**head, "choices": choices, **more}


def usage(question: Question, answer: Answer) -> dict:
    output = answer.text_tokens * question.n
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": output,
        "total_tokens": answer.input_tokens + output,
    }


def whole(body: dict, question: Question, answer: Answer) -> dict:
    choices = [
        {"text": answer.text, "index": index, "logprobs": None, "finish_reason": FINISH[answer.end]}
        for index in range(question.n)
    ]
    return part(question, choices, usage=usage(question, answer))


def events(body: dict, question: Question, answer: Answer) -> list[bytes]:
    out = []
    for index in range(question.n):
        for piece in pieces(answer.text):
            out.append(part(question, [{"text": piece, "index": index, "logprobs": None, "finish_reason": None}]))
        out.append(
            part(question, [{"text": "", "index": index, "logprobs": None, "finish_reason": FINISH[answer.end]}])
        )
    if (body.get("stream_options") or {}).get("include_usage"):
        out.append(part(question, [], usage=usage(question, answer)))
    return [*map(frames.data, out), b"data: [DONE]\n\n"]
