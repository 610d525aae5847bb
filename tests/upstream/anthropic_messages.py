"""Anthropic Messages: https://platform.claude.com/docs/en/api/messages (read 2026-11-21)."""

from __future__ import annotations

import base64
import binascii
import re

from . import frames, seal
from .mind import Answer, End, Question, Tool, count, pieces
from .refusal import Refusal, need, without_nulls

PATH = re.compile(r"/v1/messages")
#: `message_delta` and `message_stop`.
CLOSING_FRAMES = 2

MAKER = "anthropic_messages"
#: The documentation's own trigger for thinking that is hidden for safety.
REDACT = (
    "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_46C9A13E193C177646C7398A98432ECCCE4C1253D5E2D82641AC0E52CC2876CB"
)

FIELDS = set(
    "model messages max_tokens cache_control container context_management inference_geo mcp_servers metadata output_config "
    "output_format service_tier speed stop_sequences stream system temperature thinking tool_choice tools top_k top_p".split()
)
TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")
STOP = {End.DONE: "end_turn", End.STOP_WORD: "stop_sequence", End.LENGTH: "max_tokens", End.CALLS: "tool_use"}


VERSIONS = ("2023-06-01", "2026-10-21")


def sign_in(headers: dict, query: dict) -> str:
    need("anthropic-version" in headers, "anthropic-version: header is required")
    version = headers["anthropic-version"]
    need(version in VERSIONS, f'anthropic-version: "{version}" is not a valid version')
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")


def read(body: dict, path: re.Match) -> Question:
    body = without_nulls(body)
    for name in body:
        need(name in FIELDS, f"{name}: Extra inputs are not permitted")
    for name in ("model", "max_tokens", "messages"):
        need(name in body, f"{name}: Field required")
    question = Question(model=body["model"], stream=body.get("stream", False))
    read_limits(body, question)
    system = body.get("system", "")
    question.input_tokens += count(text_of(system, "system", ("text",), question))
    read_messages(body["messages"], question)
    read_tools(body, question)
    read_format(body, question)
    return question


def read_limits(body: dict, question: Question) -> None:
    for name, low, high in (("max_tokens", 1, 128_000), ("temperature", 0, 1), ("top_p", 0, 1), ("top_k", 0, 1e9)):
        value = body.get(name, low)
        need(isinstance(value, (int, float)) and not isinstance(value, bool), f"{name}: Input should be a valid number")
        need(low <= value <= high, f"{name}: range: {low}..{high}")
    question.max_tokens = body["max_tokens"]
    question.stop = body.get("stop_sequences", [])
    for word in question.stop:
        need(word.strip(), "stop_sequences: each stop sequence must contain non-whitespace")
    thinking = body.get("thinking", {"type": "disabled"})
    kind = thinking.get("type")
    kinds = ("enabled", "disabled", "adaptive")
    need(
        kind in kinds,
        f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: {kinds}",
    )
    question.thinks = kind != "disabled"
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        need(budget is not None, "thinking.enabled.budget_tokens: Field required")
        need(budget >= 1024, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        need(
            body["max_tokens"] > budget,
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
            "https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
        )
    if question.thinks:
        need(body.get("temperature", 1) == 1, "`temperature` may only be set to 1 when thinking is enabled.")
        need("top_k" not in body, "`top_k` must be unset when thinking is enabled.")
    unknown = set(body.get("metadata", {})) - {"user_id"}
    need(not unknown, f"metadata.{min(unknown, default='')}: Extra inputs are not permitted")


def read_messages(messages: list, question: Question) -> None:
    need(isinstance(messages, list), "messages: Input should be a valid list")
    need(messages, "messages: at least one message is required")
    open_calls: list[str] = []
    last = len(messages) - 1
    for index, message in enumerate(messages):
        spot = f"messages.{index}"
        role = message.get("role")
        need(
            role in ("user", "assistant"),
            f'{spot}: Unexpected role "{role}". The Messages API accepts a top-level `system` parameter, not '
            f'"{role}" as an input message role.',
        )
        unknown = set(message) - {"role", "content"}
        need(not unknown, f"{spot}.{min(unknown, default='')}: Extra inputs are not permitted")
        need("content" in message, f"{spot}.content: Field required")
        content = message["content"]
        need(
            content or (index == last and role == "assistant"),
            f"{spot}: all messages must have non-empty content except for the optional final assistant message",
        )
        if role == "assistant":
            need(not open_calls, missing_results(index - 1, open_calls))
            open_calls = read_answer(content, spot, question)
            if index == last and isinstance(content, str):
                need(
                    content == content.rstrip(), "messages: final assistant content cannot end with trailing whitespace"
                )
            continue
        question.results = read_results(content, spot, open_calls, index, question)
        open_calls = []
        text = text_of(
            content,
            f"{spot}.content",
            ("text", "image", "document", "tool_result", "search_result", "container_upload"),
            question,
        )
        question.input_tokens += count(text)
        if text:
            question.text = text
        if text and question.results:
            question.results.append(text)
    need(messages[0].get("role") == "user", 'messages: first message must use the "user" role')
    need(not open_calls, missing_results(last, open_calls))
    if question.thinks:
        check_thinking_leads(messages)


def missing_results(index: int, calls: list[str]) -> str:
    return (
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(calls)}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )


def read_answer(content: object, spot: str, question: Question) -> list[str]:
    """The model's own words come back; returns the ids of its tool calls."""
    if isinstance(content, str):
        question.input_tokens += count(content)
        return []
    calls = []
    for number, block in enumerate(content):
        place = f"{spot}.content.{number}"
        kind = block.get("type")
        known = ("text", "thinking", "redacted_thinking", "tool_use")
        need(
            kind in known,
            f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {known}",
        )
        if kind == "text":
            need(block.get("text"), "messages: text content blocks must be non-empty")
            question.input_tokens += count(block["text"])
        elif kind == "thinking":
            need("signature" in block, f"{place}.thinking.signature: Field required")
            genuine = block["signature"] == seal.sign(MAKER, block.get("thinking", ""))
            need(genuine, f"{place}: Invalid `signature` in `thinking` block")
        elif kind == "redacted_thinking":
            genuine = seal.decrypt(MAKER, block.get("data", "")) is not None
            need(genuine, f"{place}: Invalid `data` in `redacted_thinking` block")
        else:
            for name in ("id", "name", "input"):
                need(name in block, f"{place}.tool_use.{name}: Field required")
            need(isinstance(block["input"], dict), f"{place}.tool_use.input: Input should be a valid dictionary")
            need(
                re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]),
                f"{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
            )
            need(block["id"] not in calls, "messages: `tool_use` ids must be unique")
            calls.append(block["id"])
    return calls


def read_results(content: object, spot: str, open_calls: list[str], index: int, question: Question) -> list[str]:
    blocks = [] if isinstance(content, str) else content
    results, answered = [], []
    for number, block in enumerate(blocks):
        if block.get("type") != "tool_result":
            continue
        place = f"{spot}.content.{number}"
        call = block.get("tool_use_id")
        need(call, f"{place}.tool_result.tool_use_id: Field required")
        need(
            call in open_calls,
            f"{place}: unexpected `tool_use_id` found in `tool_result` blocks: {call}. Each `tool_result` block must "
            "have a corresponding `tool_use` block in the previous message.",
        )
        need(
            call not in answered,
            f"{place}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {call}",
        )
        need(
            number == 0 or blocks[number - 1].get("type") == "tool_result",
            f"{spot}: `tool_result` blocks must come first in the message after `tool_use`",
        )
        answered.append(call)
        text = text_of(
            block.get("content", ""),
            f"{place}.tool_result.content",
            ("text", "image", "document", "search_result"),
            question,
        )
        results.append(f"error: {text}" if block.get("is_error") else text)
        question.input_tokens += count(text)
    left = [call for call in open_calls if call not in answered]
    need(not left, missing_results(index - 1, left))
    return results


def check_thinking_leads(messages: list) -> None:
    """While a tool loop goes on, the assistant turn that began it starts with its thinking."""
    if len(messages) < 3 or not isinstance(messages[-1]["content"], list):
        return
    if not any(block.get("type") == "tool_result" for block in messages[-1]["content"]):
        return
    first = messages[-2]["content"][0]["type"] if isinstance(messages[-2]["content"], list) else "text"
    need(
        first in ("thinking", "redacted_thinking"),
        f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When "
        "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set "
        "of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid "
        "this requirement, disable `thinking`.",
    )


def text_of(content: object, spot: str, kinds: tuple, question: Question) -> str:
    if isinstance(content, str):
        return content
    need(isinstance(content, list), f"{spot}: Input should be a valid list")
    texts = []
    for number, block in enumerate(content):
        place = f"{spot}.{number}"
        kind = block.get("type")
        need(
            kind in kinds,
            f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {kinds}",
        )
        if kind == "text":
            need(isinstance(block.get("text"), str), f"{place}.text.text: Field required")
            need(block["text"], "messages: text content blocks must be non-empty")
            need(block["text"].strip(), "messages: text content blocks must contain non-whitespace text")
            texts.append(block["text"])
        elif kind in ("image", "document"):
            question.media.append(media_type_of(block.get("source"), f"{place}.{kind}.source"))
    return " ".join(texts)


def media_type_of(source: object, spot: str) -> str:
    need(isinstance(source, dict), f"{spot}: Field required")
    kind = source.get("type")
    kinds = ("base64", "url", "file", "text", "content")
    need(
        kind in kinds, f"{spot}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {kinds}"
    )
    if kind != "base64":
        return kind
    for name in ("media_type", "data"):
        need(isinstance(source.get(name), str), f"{spot}.base64.{name}: Field required")
    known = ("image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf")
    need(source["media_type"] in known, f"{spot}.base64.media_type: Input should be one of {known}")
    try:
        base64.b64decode(source["data"], validate=True)
    except binascii.Error:
        raise Refusal(400, f"{spot}.base64: invalid base64 data") from None
    return source["media_type"]


def read_tools(body: dict, question: Question) -> None:
    for index, tool in enumerate(body.get("tools", [])):
        if tool.get("type", "custom") != "custom":
            continue
        spot = f"tools.{index}.custom"
        need(tool.get("name"), f"{spot}.name: Field required")
        need(TOOL_NAME.match(tool["name"]), f"{spot}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        schema = tool.get("input_schema")
        need(schema is not None, f"{spot}.input_schema: Field required")
        need(schema.get("type") == "object", f"{spot}.input_schema.type: Input should be 'object'")
        unknown = set(tool) - set(
            "type name description input_schema cache_control strict input_examples defer_loading allowed_callers eager_input_streaming".split()
        )
        need(not unknown, f"{spot}.{min(unknown, default='')}: Extra inputs are not permitted")
        need(tool["name"] not in [known.name for known in question.tools], "tools: Tool names must be unique.")
        question.tools.append(Tool(tool["name"], schema))
    if any(
        call
        for message in body["messages"]
        if isinstance(message["content"], list)
        for call in message["content"]
        if call.get("type") == "tool_use"
    ):
        need(body.get("tools"), "Requests which include `tool_use` or `tool_result` blocks must define tools.")
    choice = body.get("tool_choice", {"type": "auto"})
    kind = choice.get("type")
    kinds = ("auto", "any", "tool", "none")
    need(
        kind in kinds,
        f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: {kinds}",
    )
    need("tool_choice" not in body or body.get("tools"), "tool_choice may only be specified while providing tools.")
    need(
        not (question.thinks and kind in ("any", "tool")),
        "Thinking may not be enabled when tool_choice forces tool use.",
    )
    question.parallel = not choice.get("disable_parallel_tool_use", False)
    question.choice = kind
    if kind == "tool":
        question.choice = choice.get("name", "")
        names = [tool.name for tool in question.tools]
        need(question.choice in names, f"Tool '{question.choice}' not found in provided tools")


def read_format(body: dict, question: Question) -> None:
    form = (body.get("output_config") or {}).get("format") or body.get("output_format")
    if form is None:
        return
    need(form.get("type") == "json_schema", "output_config.format.type: Input should be 'json_schema'")
    need(isinstance(form.get("schema"), dict), "output_config.format.schema: Field required")
    question.schema = form["schema"]
    check_closed(question.schema)


def check_closed(schema: object) -> None:
    if isinstance(schema, list):
        for item in schema:
            check_closed(item)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        need(
            closed,
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
        )
    for item in schema.values():
        check_closed(item)


def content(question: Question, answer: Answer) -> list[dict]:
    blocks: list[dict] = []
    if answer.thought is not None and REDACT in question.text:
        blocks.append({"type": "redacted_thinking", "data": seal.encrypt(MAKER, answer.thought)})
    elif answer.thought is not None:
        signature = seal.sign(MAKER, answer.thought)
        blocks.append({"type": "thinking", "thinking": answer.thought, "signature": signature})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for index, call in enumerate(answer.calls):
        blocks.append({"type": "tool_use", "id": f"toolu_{index}", "name": call.name, "input": call.arguments})
    return blocks


def head(question: Question, answer: Answer) -> dict:
    return {
        "id": "msg_upstream1",
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": answer.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 1,
            "service_tier": "standard",
        },
    }


def whole(body: dict, question: Question, answer: Answer) -> dict:
    message = head(question, answer)
    message |= {
        "content": content(question, answer),
        "stop_reason": STOP[answer.end],
        "stop_sequence": answer.stop_word,
    }
    message["usage"]["output_tokens"] = answer.output_tokens
    return message


def events(body: dict, question: Question, answer: Answer) -> list[bytes]:
    out = [frames.event({"type": "message_start", "message": head(question, answer)}), frames.event({"type": "ping"})]
    for index, block in enumerate(content(question, answer)):
        start, deltas = opened(block, answer)
        out.append(frames.event({"type": "content_block_start", "index": index, "content_block": start}))
        for delta in deltas:
            out.append(frames.event({"type": "content_block_delta", "index": index, "delta": delta}))
        out.append(frames.event({"type": "content_block_stop", "index": index}))
    end = {"stop_reason": STOP[answer.end], "stop_sequence": answer.stop_word}
    out.append(frames.event({"type": "message_delta", "delta": end, "usage": {"output_tokens": answer.output_tokens}}))
    out.append(frames.event({"type": "message_stop"}))
    return out


def opened(block: dict, answer: Answer) -> tuple[dict, list[dict]]:
    """A block as its start shows it, and the deltas that bring the rest."""
    kind = block["type"]
    if kind == "text":
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if kind == "tool_use":
        json = next(call.json for call in answer.calls if call.name == block["name"])
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", json[:3], json[3:])]
        return {**block, "input": {}}, deltas
    return block, []


TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error(refusal: Refusal) -> dict:
    message = refusal.message
    if refusal.about == "context_window":
        message = "prompt is too long: 208310 tokens > 200000 maximum"
    if refusal.about == "content_filter":
        message = "Output blocked by content filtering policy"
    kind = TYPES.get(refusal.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_upstream1"}


def error_event(refusal: Refusal) -> bytes:
    return frames.event(error(refusal))
