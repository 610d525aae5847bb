"""OpenAI Chat Completions: https://platform.openai.com/docs/api-reference/chat (read 2026-11-21)."""

from __future__ import annotations

import re

from . import frames, openai_schema
from .mind import Answer, End, Question, Tool, count, pieces, tokens
from .openai_error import error, error_event, sign_in
from .refusal import TOOL_NAME, need, without_nulls

__all__ = ["PATH", "CLOSING_FRAMES", "error", "error_event", "events", "read", "sign_in", "whole"]

PATH = re.compile(r"/v1/chat/completions")
#: Frames by which a stream says that it is complete: `[DONE]` alone, the finish reason comes earlier.
CLOSING_FRAMES = 3

FIELDS = set(
    "messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens "
    "metadata modalities n parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_retention "
    "reasoning_effort response_format safety_identifier seed service_tier stop store stream stream_options temperature "
    "tool_choice tools top_logprobs top_p user verbosity web_search_options".split()
)
ROLES = ["system", "assistant", "user", "function", "tool", "developer"]
EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh"]
FINISH = {End.DONE: "stop", End.STOP_WORD: "stop", End.LENGTH: "length", End.CALLS: "tool_calls"}


def reasons(model: str) -> bool:
    return re.match(r"o\d|gpt-5", model) is not None


def read(body: dict, path: re.Match) -> Question:
    body = without_nulls(body)
    for name in body:
        need(name in FIELDS, f"Unrecognized request argument supplied: {name}")
    for name in ("model", "messages"):
        need(name in body, f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    need(isinstance(body["model"], str), "Invalid type for 'model': expected a string.", "model", "invalid_type")
    question = Question(model=body["model"], stream=body.get("stream", False))
    read_limits(body, question)
    read_messages(body["messages"], question)
    read_tools(body, question)
    read_format(body.get("response_format"), question)
    need(
        "stream_options" not in body or question.stream,
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        "stream_options",
    )
    return question


def read_limits(body: dict, question: Question) -> None:
    thinks = reasons(question.model)
    if thinks:
        for name in ("max_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "stop"):
            harmless = name in ("temperature", "top_p") and body.get(name) == 1
            need(
                name not in body or harmless,
                f"Unsupported parameter: '{name}' is not supported with this model.",
                name,
                "unsupported_parameter",
            )
    else:
        need("reasoning_effort" not in body, "Unrecognized request argument supplied: reasoning_effort")
    need(
        not ("max_tokens" in body and "max_completion_tokens" in body),
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        "max_tokens",
    )
    effort = body.get("reasoning_effort", "medium" if thinks else "none")
    need(
        effort in EFFORTS,
        f"Invalid value: '{effort}'. Supported values are: {EFFORTS}.",
        "reasoning_effort",
        "invalid_value",
    )
    for name, low, high in (
        ("temperature", 0, 2),
        ("top_p", 0, 1),
        ("frequency_penalty", -2, 2),
        ("presence_penalty", -2, 2),
        ("top_logprobs", 0, 20),
        ("n", 1, 128),
        ("max_tokens", 1, 1e9),
        ("max_completion_tokens", 1, 1e9),
    ):
        value = body.get(name, low)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        need(number, f"Invalid type for '{name}': expected a number.", name, "invalid_type")
        need(low <= value <= high, f"Invalid '{name}': must be between {low} and {high}.", name, "invalid_value")
        whole = name not in ("n", "max_tokens", "max_completion_tokens", "top_logprobs") or isinstance(value, int)
        need(whole, f"Invalid type for '{name}': expected an integer.", name, "invalid_type")
    need(
        "top_logprobs" not in body or body.get("logprobs"),
        "'top_logprobs' is only allowed when 'logprobs' is enabled.",
        "top_logprobs",
    )
    stop = body.get("stop", [])
    question.stop = [stop] if isinstance(stop, str) else stop
    need(
        len(question.stop) <= 4, "Invalid 'stop': array too long. Expected at most 4.", "stop", "array_above_max_length"
    )
    question.thinks = thinks and effort not in ("none", "minimal")
    question.max_tokens = body.get("max_completion_tokens", body.get("max_tokens"))
    question.n = body.get("n", 1)
    question.logprobs = body.get("logprobs", False)
    question.parallel = body.get("parallel_tool_calls", True)


def read_messages(messages: list, question: Question) -> None:
    need(isinstance(messages, list), "Invalid type for 'messages': expected an array.", "messages", "invalid_type")
    need(messages, "Invalid 'messages': empty array.", "messages", "empty_array")
    open_calls: dict[str, str] = {}
    results: list[str] = []
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        need(isinstance(message, dict), f"Invalid type for '{place}': expected an object.", place, "invalid_type")
        role = message.get("role")
        need(
            role in ROLES, f"Invalid value: '{role}'. Supported values are: {ROLES}.", f"{place}.role", "invalid_value"
        )
        message = without_nulls(message)
        if role == "tool":
            need(
                message.get("tool_call_id") in open_calls,
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                f"{place}.role",
            )
            open_calls.pop(message["tool_call_id"])
            results.append(read_content(message.get("content"), f"{place}.content", ("text",), question))
            continue
        need(
            not open_calls,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
            f"{place}.role",
        )
        results = []
        if role == "assistant":
            known = {"role", "content", "tool_calls", "function_call", "name", "refusal", "audio"}
            # Not in the documentation, but in every answer that clients send back as it is.
            known.add("annotations")
            unknown = sorted(set(message) - known)
            need(not unknown, f"Additional properties are not allowed ({unknown} were unexpected)", place)
            open_calls = read_calls(message.get("tool_calls", []), place)
            need("content" in message or open_calls, f"Invalid value for '{place}.content'.", f"{place}.content")
            read_content(message.get("content", ""), f"{place}.content", ("text", "refusal"), question)
        else:
            need("content" in message, f"Missing required parameter: '{place}.content'.", f"{place}.content")
            types = ("text", "image_url", "input_audio", "file") if role == "user" else ("text",)
            text = read_content(message["content"], f"{place}.content", types, question)
            if role == "user":
                question.text = text
    need(
        not open_calls,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
        "messages",
    )
    question.results = results


def read_calls(calls: list, place: str) -> dict[str, str]:
    found = {}
    for number, call in enumerate(calls):
        spot = f"{place}.tool_calls[{number}]"
        for name in ("id", "type"):
            need(call.get(name), f"Missing required parameter: '{spot}.{name}'.", f"{spot}.{name}")
        need(call["type"] in ("function", "custom"), f"Invalid value for '{spot}.type'.", f"{spot}.type")
        unknown = set(call) - {"id", "type", "function", "custom"}
        need(not unknown, f"Unknown parameter: '{spot}.{min(unknown, default='')}'.", spot, "unknown_parameter")
        function = call.get("function", {})
        need(function.get("name"), f"Missing required parameter: '{spot}.function.name'.", spot)
        need(isinstance(function.get("arguments"), str), f"Invalid type for '{spot}.function.arguments'.", spot)
        need(call["id"] not in found, f"Duplicate value for '{spot}.id'.", f"{spot}.id")
        found[call["id"]] = function["name"]
    return found


def read_content(content: object, place: str, types: tuple, question: Question) -> str:
    if isinstance(content, str):
        question.input_tokens += count(content)
        return content
    need(
        isinstance(content, list), f"Invalid type for '{place}': expected a string or an array.", place, "invalid_type"
    )
    texts = []
    for index, part in enumerate(content):
        spot = f"{place}[{index}]"
        kind = part.get("type")
        need(kind in types, f"Invalid value: '{kind}'. Supported values are: {types}.", f"{spot}.type", "invalid_value")
        if kind in ("text", "refusal"):
            need(isinstance(part.get(kind), str), f"Missing required parameter: '{spot}.{kind}'.", f"{spot}.{kind}")
            texts.append(part[kind])
            question.input_tokens += count(part[kind])
        else:
            question.media.append(read_media(kind, part, spot))
    return " ".join(texts)


def read_media(kind: str, part: dict, spot: str) -> str:
    value = part.get(kind)
    need(
        isinstance(value, dict),
        f"Invalid type for '{spot}.{kind}': expected an object.",
        f"{spot}.{kind}",
        "invalid_type",
    )
    if kind == "image_url":
        return openai_schema.media_type_of(value.get("url"), f"{spot}.image_url.url")
    if kind == "input_audio":
        need(value.get("format") in ("wav", "mp3"), f"Invalid value for '{spot}.input_audio.format'.", spot)
        return f"audio/{value['format']}"
    if "file_id" in value:
        return "file"
    # The documentation calls the name optional; the API asks for the id of a file if there is none.
    named = value.get("file_data") and value.get("filename")
    need(named, f"Missing required parameter: '{spot}.file.file_id'.", spot, "missing_required_parameter")
    return openai_schema.media_type_of(value["file_data"], f"{spot}.file.file_data")


def read_tools(body: dict, question: Question) -> None:
    for index, tool in enumerate(body.get("tools", [])):
        spot = f"tools[{index}]"
        need(tool.get("type") in ("function", "custom"), f"Invalid value for '{spot}.type'.", f"{spot}.type")
        function = tool.get(tool["type"], {})
        need(function.get("name"), f"Missing required parameter: '{spot}.function.name'.", spot)
        need(
            TOOL_NAME.match(function["name"]),
            f"Invalid '{spot}.function.name': string does not match pattern.",
            f"{spot}.function.name",
            "invalid_value",
        )
        parameters = function.get("parameters")
        openai_schema.check_function(function, spot)
        question.tools.append(Tool(function["name"], parameters))
    if "tools" in body:
        need(body["tools"], "Invalid 'tools': empty array.", "tools", "empty_array")
    choice = body.get("tool_choice", "auto")
    need(
        "tools" in body or "tool_choice" not in body,
        "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
        "tool_choice",
    )
    if isinstance(choice, dict):
        question.choice = choice.get("function", {}).get("name", "")
        names = [tool.name for tool in question.tools]
        need(question.choice in names, f"Tool choice '{question.choice}' not found in 'tools'.", "tool_choice")
    else:
        need(choice in ("auto", "none", "required"), f"Invalid value: '{choice}'.", "tool_choice", "invalid_value")
        question.choice = {"required": "any"}.get(choice, choice)


def read_format(form: dict | None, question: Question) -> None:
    if form is None or form.get("type") == "text":
        return
    kind = form.get("type")
    need(kind in ("json_object", "json_schema"), f"Invalid value: '{kind}'.", "response_format.type", "invalid_value")
    if kind == "json_object":
        question.schema = {}
        return
    named = form.get("json_schema") or {}
    need(named.get("name"), "Missing required parameter: 'response_format.json_schema.name'.", "response_format")
    question.schema = named.get("schema") or {}
    if named.get("strict"):
        openai_schema.check_strict(question.schema, "response_format", named["name"])


def head(question: Question, kind: str) -> dict:
    return {
        "id": "chatcmpl-upstream1",
        "object": kind,
        "created": 1_770_000_000,
        "model": f"{question.model}-2026-01-01",
        "service_tier": "default",
        "system_fingerprint": "fp_upstream",
    }


def usage(question: Question, answer: Answer) -> dict:
    output = answer.thought_tokens + answer.text_tokens * question.n
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": output,
        "total_tokens": answer.input_tokens + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.thought_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def logprobs(text: str) -> dict:
    entries = [
        {"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": []} for token in tokens(text)
    ]
    return {"content": entries, "refusal": None}


def tool_calls(choice: int, answer: Answer) -> list[dict]:
    return [
        {"id": f"call_{choice}_{index}", "type": "function", "function": {"name": call.name, "arguments": call.json}}
        for index, call in enumerate(answer.calls)
    ]


def whole(body: dict, question: Question, answer: Answer) -> dict:
    choices = []
    for index in range(question.n):
        message = {"role": "assistant", "content": answer.text or None, "refusal": None, "annotations": []}
        if answer.calls:
            message["tool_calls"] = tool_calls(index, answer)
        probabilities = logprobs(answer.text) if question.logprobs else None
        choices.append(
            {"index": index, "message": message, "logprobs": probabilities, "finish_reason": FINISH[answer.end]}
        )
    return {**head(question, "chat.completion"), "choices": choices, "usage": usage(question, answer)}


def events(body: dict, question: Question, answer: Answer) -> list[bytes]:
    wants_usage = (body.get("stream_options") or {}).get("include_usage", False)
    start = head(question, "chat.completion.chunk")
    out = []

    def chunk(choice: int, delta: dict, finish: str | None = None, probabilities: dict | None = None) -> None:
        entry = {"index": choice, "delta": delta, "logprobs": probabilities, "finish_reason": finish}
        value = {**start, "choices": [entry]}
        if wants_usage:
            value["usage"] = None
        out.append(frames.data(value))

    for choice in range(question.n):
        chunk(choice, {"role": "assistant", "content": "" if answer.text else None, "refusal": None})
        for piece in pieces(answer.text):
            chunk(choice, {"content": piece}, None, logprobs(piece) if question.logprobs else None)
        for index, call in enumerate(tool_calls(choice, answer)):
            arguments = call["function"]["arguments"]
            call["function"]["arguments"] = ""
            chunk(choice, {"tool_calls": [{"index": index, **call}]})
            for piece in (arguments[:3], arguments[3:]):
                chunk(choice, {"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    for choice in range(question.n):
        chunk(choice, {}, FINISH[answer.end])
    if wants_usage:
        out.append(frames.data({**start, "choices": [], "usage": usage(question, answer)}))
    return [*out, b"data: [DONE]\n\n"]
