"""OpenAI Responses: https://platform.openai.com/docs/api-reference/responses (read 2026-11-21)."""

from __future__ import annotations

import re

from . import frames, openai_schema, seal
from .mind import Answer, End, Question, Tool, count, pieces, tokens
from .openai_chat import reasons
from .openai_error import error, sign_in, type_of
from .refusal import TOOL_NAME, Refusal, need, without_nulls

__all__ = ["PATH", "CLOSING_FRAMES", "error", "error_event", "events", "read", "sign_in", "whole"]

PATH = re.compile(r"/v1/responses")
CLOSING_FRAMES = 1

FIELDS = set(
    "background context_management conversation include input instructions max_output_tokens max_tool_calls metadata "
    "model parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_retention reasoning "
    "safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs top_p "
    "truncation user".split()
)
MAKER = "openai_responses"
ENCRYPTED = "reasoning.encrypted_content"


def read(body: dict, path: re.Match) -> Question:
    body = without_nulls(body)
    for name in body:
        need(name in FIELDS, f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    for name in ("model", "input"):
        need(name in body, f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    question = Question(model=body["model"], stream=body.get("stream", False))
    question.input_tokens = count(body.get("instructions", ""))
    read_limits(body, question)
    if isinstance(body["input"], str):
        question.text = body["input"]
        question.input_tokens += count(body["input"])
    else:
        read_items(body["input"], question)
    read_tools(body, question)
    read_format(body.get("text", {}), question)
    return question


def read_limits(body: dict, question: Question) -> None:
    thinks = reasons(question.model)
    reasoning = body.get("reasoning", {})
    unknown = set(reasoning) - {"effort", "summary", "generate_summary"}
    need(not unknown, f"Unknown parameter: 'reasoning.{min(unknown, default='')}'.", "reasoning", "unknown_parameter")
    for name in reasoning if not thinks else ():
        message = f"Unsupported parameter: 'reasoning.{name}' is not supported with this model."
        need(reasoning[name] is None, message, f"reasoning.{name}", "unsupported_parameter")
    for name in ("temperature", "top_p") if thinks else ():
        message = f"Unsupported parameter: '{name}' is not supported with this model."
        need(body.get(name, 1) == 1, message, name, "unsupported_parameter")
    for name, low, high in (
        ("temperature", 0, 2),
        ("top_p", 0, 1),
        ("max_output_tokens", 16, 1e9),
        ("top_logprobs", 0, 20),
    ):
        value = body.get(name, low)
        need(
            isinstance(value, (int, float)) and low <= value <= high,
            f"Invalid '{name}': expected a value between {low} and {high}, but got {value} instead.",
            name,
            "integer_below_min_value",
        )
    question.thinks = thinks and reasoning.get("effort", "medium") not in ("none", "minimal")
    question.max_tokens = body.get("max_output_tokens")
    question.logprobs = "message.output_text.logprobs" in body.get("include", [])
    question.parallel = body.get("parallel_tool_calls", True)


def read_items(items: list, question: Question) -> None:
    need(isinstance(items, list), "Invalid type for 'input': expected a string or an array.", "input", "invalid_type")
    open_calls: dict[str, None] = {}
    ids: set[str] = set()
    results: list[str] = []
    unled = None
    for index, item in enumerate(items):
        spot = f"input[{index}]"
        need(isinstance(item, dict), f"Invalid type for '{spot}': expected an object.", spot, "invalid_type")
        item = without_nulls(item)
        kind = item.get("type", "message")
        if unled is not None:
            follows = kind in ("function_call", "reasoning") or item.get("role") == "assistant"
            need(
                follows,
                f"Item '{unled}' of type 'reasoning' was provided without its required following item.",
                "input",
            )
        unled = item.get("id", "") if kind == "reasoning" else None
        if "id" in item:
            need(item["id"] not in ids, f"Duplicate item found with id {item['id']}. Remove duplicate items.", "input")
            ids.add(item["id"])
        if kind == "function_call_output":
            call_id = item.get("call_id")
            message = f"No tool call found for function call output with call_id {call_id}."
            need(call_id in open_calls, message, "input")
            open_calls.pop(call_id)
            results.append(
                read_content(
                    item.get("output", ""), f"{spot}.output", ("input_text", "input_image", "input_file"), question
                )
            )
            continue
        if kind == "function_call":
            for name in ("call_id", "name", "arguments"):
                need(isinstance(item.get(name), str), f"Missing required parameter: '{spot}.{name}'.", f"{spot}.{name}")
            open_calls[item["call_id"]] = None
            led = index > 0 and items[index - 1].get("type") in ("reasoning", "function_call")
            thought_of = item.get("id", "").startswith("fc_thought")
            message = (
                f"Item '{item.get('id')}' of type 'function_call' was provided without its required 'reasoning' item."
            )
            need(led or not thought_of, message, "input")
            continue
        if kind == "reasoning":
            read_reasoning(item, spot)
            continue
        need(not open_calls, f"No tool output found for function call {next(iter(open_calls), '')}.", "input")
        results = []
        need(kind == "message", f"Invalid value: '{kind}'.", f"{spot}.type", "invalid_value")
        role = item.get("role")
        roles = ["assistant", "system", "developer", "user"]
        need(role in roles, f"Invalid value: '{role}'. Supported values are: {roles}.", f"{spot}.role", "invalid_value")
        need("content" in item, f"Missing required parameter: '{spot}.content'.", f"{spot}.content")
        types = (
            ("output_text", "refusal")
            if role == "assistant"
            else ("input_text", "input_image", "input_file", "input_audio")
        )
        text = read_content(item["content"], f"{spot}.content", types, question)
        if role == "user":
            question.text = text
    need(
        unled is None, f"Item '{unled}' of type 'reasoning' was provided without its required following item.", "input"
    )
    need(not open_calls, f"No tool output found for function call {next(iter(open_calls), '')}.", "input")
    question.results = results


def read_reasoning(item: dict, spot: str) -> None:
    need(isinstance(item.get("summary"), list), f"Missing required parameter: '{spot}.summary'.", f"{spot}.summary")
    sealed = item.get("encrypted_content")
    if sealed is not None:
        shown = f"{sealed[:4]}...{sealed[-4:]}"
        message = f"The encrypted content {shown} could not be verified."
        need(seal.decrypt(MAKER, sealed) is not None, message, code="invalid_encrypted_content")


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
        if kind in ("input_text", "output_text"):
            need(isinstance(part.get("text"), str), f"Missing required parameter: '{spot}.text'.", f"{spot}.text")
            texts.append(part["text"])
            question.input_tokens += count(part["text"])
        elif kind == "input_image":
            need("image_url" in part or "file_id" in part, f"Missing required parameter: '{spot}.image_url'.", spot)
            url = part.get("image_url")
            question.media.append("file" if url is None else openai_schema.media_type_of(url, f"{spot}.image_url"))
        elif kind == "input_file":
            data = part.get("file_data")
            need(
                data or part.get("file_id") or part.get("file_url"),
                f"Missing required parameter: '{spot}.file_id'.",
                spot,
            )
            need(data is None or part.get("filename"), f"Missing required parameter: '{spot}.file_id'.", spot)
            question.media.append("file" if data is None else openai_schema.media_type_of(data, f"{spot}.file_data"))
    return " ".join(texts)


def read_tools(body: dict, question: Question) -> None:
    for index, tool in enumerate(body.get("tools", [])):
        spot = f"tools[{index}]"
        need(
            tool.get("type"),
            f"Missing required parameter: '{spot}.type'.",
            f"{spot}.type",
            "missing_required_parameter",
        )
        if tool["type"] != "function":
            continue
        need(
            tool.get("name"),
            f"Missing required parameter: '{spot}.name'.",
            f"{spot}.name",
            "missing_required_parameter",
        )
        need(TOOL_NAME.match(tool["name"]), f"Invalid '{spot}.name': string does not match pattern.", f"{spot}.name")
        openai_schema.check_function(tool, spot)
        question.tools.append(Tool(tool["name"], tool.get("parameters")))
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict):
        question.choice = choice.get("name", "")
        names = [tool.name for tool in question.tools]
        need(
            question.choice in names, f"Tool choice '{question.choice}' not found in 'tools' parameter.", "tool_choice"
        )
    else:
        need(choice in ("auto", "none", "required"), f"Invalid value: '{choice}'.", "tool_choice", "invalid_value")
        question.choice = {"required": "any"}.get(choice, choice)


def read_format(text: dict, question: Question) -> None:
    form = text.get("format") or {"type": "text"}
    kind = form.get("type")
    need(
        kind in ("text", "json_object", "json_schema"), f"Invalid value: '{kind}'.", "text.format.type", "invalid_value"
    )
    if kind == "json_object":
        question.schema = {}
    elif kind == "json_schema":
        need(form.get("name"), "Missing required parameter: 'text.format.name'.", "text.format.name")
        need(
            isinstance(form.get("schema"), dict),
            "Missing required parameter: 'text.format.schema'.",
            "text.format.schema",
        )
        question.schema = form["schema"]
        if form.get("strict"):
            openai_schema.check_strict(question.schema, "text.format.schema", form["name"])


def reasoning_item(body: dict, answer: Answer) -> dict:
    summary = body.get("reasoning", {}).get("summary")
    item = {"id": "rs_upstream1", "type": "reasoning", "summary": []}
    if summary:
        item["summary"] = [{"type": "summary_text", "text": answer.thought}]
    if ENCRYPTED in (body.get("include") or []):
        item["encrypted_content"] = seal.encrypt(MAKER, answer.thought)
    return item


def items(body: dict, question: Question, answer: Answer) -> list[dict]:
    out = []
    if answer.thought is not None:
        out.append(reasoning_item(body, answer))
    if answer.text or not answer.calls:
        part = {"type": "output_text", "text": answer.text, "annotations": []}
        if question.logprobs:
            part["logprobs"] = [
                {"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": []}
                for token in tokens(answer.text)
            ]
        status = "incomplete" if answer.end is End.LENGTH else "completed"
        out.append({"id": "msg_upstream1", "type": "message", "status": status, "role": "assistant", "content": [part]})
    for index, call in enumerate(answer.calls):
        made = "thought" if answer.thought is not None else "plain"
        out.append(
            {
                "id": f"fc_{made}_{index}",
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{index}",
                "name": call.name,
                "arguments": call.json,
            }
        )
    return out


def response(body: dict, question: Question, answer: Answer, status: str, output: list, with_usage: bool) -> dict:
    usage = None
    if with_usage:
        usage = {
            "input_tokens": answer.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": answer.thought_tokens},
            "total_tokens": answer.input_tokens + answer.output_tokens,
        }
    return {
        "id": "resp_upstream1",
        "object": "response",
        "created_at": 1_770_000_000,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": f"{question.model}-2026-01-01",
        "output": output,
        "parallel_tool_calls": question.parallel,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None, **(body.get("reasoning") or {})},
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": usage,
        "user": body.get("user"),
    }


def whole(body: dict, question: Question, answer: Answer) -> dict:
    status = "incomplete" if answer.end is End.LENGTH else "completed"
    return response(body, question, answer, status, items(body, question, answer), True)


def events(body: dict, question: Question, answer: Answer) -> list[bytes]:
    out: list[bytes] = []

    def send(kind: str, **fields: object) -> None:
        out.append(frames.event({"type": kind, "sequence_number": len(out), **fields}))

    for kind in ("created", "in_progress"):
        send(f"response.{kind}", response=response(body, question, answer, "in_progress", [], False))
    output = items(body, question, answer)
    for index, item in enumerate(output):
        {"reasoning": send_reasoning, "message": send_message, "function_call": send_call}[item["type"]](
            send, index, item
        )
    status = "incomplete" if answer.end is End.LENGTH else "completed"
    send(f"response.{status}", response=response(body, question, answer, status, output, True))
    return out


def send_reasoning(send, index: int, item: dict) -> None:
    send("response.output_item.added", output_index=index, item={"id": item["id"], "type": "reasoning", "summary": []})
    place = {"item_id": item["id"], "output_index": index, "summary_index": 0}
    for part in item["summary"]:
        send("response.reasoning_summary_part.added", **place, part={"type": "summary_text", "text": ""})
        for piece in pieces(part["text"]):
            send("response.reasoning_summary_text.delta", **place, delta=piece)
        send("response.reasoning_summary_text.done", **place, text=part["text"])
        send("response.reasoning_summary_part.done", **place, part=part)
    send("response.output_item.done", output_index=index, item=item)


def send_message(send, index: int, item: dict) -> None:
    send("response.output_item.added", output_index=index, item={**item, "status": "in_progress", "content": []})
    part = item["content"][0]
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    send(
        "response.content_part.added",
        **place,
        part={"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    )
    probabilities = part.get("logprobs", [])
    for number, piece in enumerate(pieces(part["text"])):
        send("response.output_text.delta", **place, delta=piece, logprobs=probabilities[number : number + 1])
    send("response.output_text.done", **place, text=part["text"], logprobs=probabilities)
    send("response.content_part.done", **place, part=part)
    send("response.output_item.done", output_index=index, item=item)


def send_call(send, index: int, item: dict) -> None:
    send("response.output_item.added", output_index=index, item={**item, "status": "in_progress", "arguments": ""})
    place = {"item_id": item["id"], "output_index": index}
    for piece in (item["arguments"][:3], item["arguments"][3:]):
        send("response.function_call_arguments.delta", **place, delta=piece)
    send("response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"])
    send("response.output_item.done", output_index=index, item=item)


def error_event(refusal: Refusal) -> bytes:
    code = {429: "rate_limit_exceeded"}.get(refusal.status, type_of(refusal))
    failed = {"type": "error", "sequence_number": 99, "code": code, "message": refusal.message, "param": None}
    return frames.event(failed)
