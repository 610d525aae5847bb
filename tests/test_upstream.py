"""The simulated provider is what it claims to be: each vendor's own client understands it, and it refuses what the
vendor refuses."""

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

import material
import subject
from upstream import Upstream
from upstream.server import KEY


def test_openai_s_client_understands_its_chat(upstream: Upstream):
    client = openai.OpenAI(base_url=f"{upstream.url}/direct/v1", api_key=KEY)
    messages = [{"role": "user", "content": material.QUESTION}]
    whole = client.chat.completions.create(model="gpt-4o", messages=messages)
    assert whole.choices[0].message.content == material.ANSWER
    with client.chat.completions.stream(model="gpt-4o", messages=messages) as stream:
        assert stream.get_final_completion().choices[0].message.content == material.ANSWER


def test_openai_s_client_understands_its_responses(upstream: Upstream):
    client = openai.OpenAI(base_url=f"{upstream.url}/direct/v1", api_key=KEY)
    asked = {"model": "gpt-5-mini", "input": material.QUESTION, "reasoning": {"summary": "auto"}}
    whole = client.responses.create(**asked)
    assert whole.output_text == material.ANSWER
    with client.responses.stream(**asked) as stream:
        final = stream.get_final_response()
    assert [item.type for item in final.output] == ["reasoning", "message"]
    assert final.output_text == material.ANSWER


def test_anthropic_s_client_understands_its_messages(upstream: Upstream):
    client = anthropic.Anthropic(base_url=f"{upstream.url}/direct", api_key=KEY)
    asked = {
        "model": "claude-sonnet-4-5-20250929",
        "max_tokens": 2000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [{"role": "user", "content": material.QUESTION}],
        "tools": [{"name": "weather", "input_schema": material.WEATHER_SCHEMA}],
    }
    whole = client.messages.create(**asked)
    assert [block.type for block in whole.content] == ["thinking", "tool_use"]
    with client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert final.model_dump() == whole.model_dump()


def test_google_s_client_understands_its_gemini(upstream: Upstream):
    client = genai.Client(api_key=KEY, http_options={"base_url": f"{upstream.url}/direct"})
    whole = client.models.generate_content(model="gemini-2.5-flash", contents=material.QUESTION)
    assert whole.text == material.ANSWER
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[{"name": "weather"}])])
    chunks = list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi", config=config))
    assert [call.name for chunk in chunks for call in chunk.function_calls or []] == ["weather"]
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP


def user(text: str) -> dict:
    return {"role": "user", "content": text}


CHAT = {"model": "gpt-4o", "messages": [user("hi")]}
MESSAGES = {"model": "claude", "max_tokens": 100, "messages": [user("hi")]}
RESPONSES = {"model": "gpt-4.1", "input": "hi"}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL_USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
TOOL_RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}
TOOLS = [{"name": "f", "input_schema": {"type": "object"}}]
THINKING = {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": TOOLS}


def declared(parameters: dict) -> dict:
    return {"tools": [{"functionDeclarations": [{"name": "f", "parameters": parameters}]}]}


REFUSED = [
    ("/v1/chat/completions", CHAT, {"messages": [{"role": "robot", "content": "hi"}]}, "Supported values"),
    ("/v1/chat/completions", CHAT, {"top_k": 3}, "Unrecognized request argument"),
    (
        "/v1/chat/completions",
        CHAT,
        {"messages": [user("x"), {"role": "tool", "tool_call_id": "c1", "content": ""}]},
        "preceeding",
    ),
    (
        "/v1/chat/completions",
        CHAT,
        {"messages": [user("x"), {"role": "assistant", "tool_calls": [CALL]}, user("y")]},
        "c1",
    ),
    ("/v1/chat/completions", CHAT, {"model": "gpt-5-mini", "max_tokens": 5}, "'max_tokens' is not supported"),
    ("/v1/responses", RESPONSES, {"messages": []}, "Unknown parameter"),
    ("/v1/responses", RESPONSES, {"max_output_tokens": 5}, "max_output_tokens"),
    (
        "/v1/responses",
        RESPONSES,
        {"input": [{"type": "function_call_output", "call_id": "c1", "output": ""}]},
        "No tool call found",
    ),
    (
        "/v1/responses",
        RESPONSES,
        {"input": [{"type": "reasoning", "summary": [], "encrypted_content": "AAAA"}]},
        "could not be verified",
    ),
    ("/v1/messages", MESSAGES, {"max_tokens": None}, "max_tokens: Field required"),
    ("/v1/messages", MESSAGES, {"messages": [{"role": "system", "content": "x"}]}, "Unexpected role"),
    ("/v1/messages", MESSAGES, {"messages": [{"role": "user", "content": [TOOL_RESULT]}]}, "unexpected `tool_use_id`"),
    (
        "/v1/messages",
        MESSAGES,
        {"messages": [user("x"), {"role": "assistant", "content": [TOOL_USE]}, user("y")]},
        "without `tool_result`",
    ),
    ("/v1/messages", MESSAGES, {"messages": [user("")]}, "non-empty"),
    (
        "/v1/messages",
        MESSAGES,
        THINKING
        | {
            "messages": [
                user("x"),
                {"role": "assistant", "content": [TOOL_USE]},
                {"role": "user", "content": [TOOL_RESULT]},
            ]
        },
        "Expected `thinking`",
    ),
    (
        "/v1/messages",
        MESSAGES,
        {
            "messages": [
                user("x"),
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": "b"}]},
                user("y"),
            ]
        },
        "Invalid `signature`",
    ),
    ("/v1beta/models/gemini-2.5-flash:generateContent", GEMINI, {"messages": []}, "Unknown name"),
    (
        "/v1beta/models/gemini-2.5-flash:generateContent",
        GEMINI,
        declared({"type": "object", "additionalProperties": False}),
        "additionalProperties",
    ),
    (
        "/v1beta/models/gemini-2.5-flash:generateContent",
        GEMINI,
        declared({"type": "object", "properties": {"a": {"type": "integer", "enum": [1]}}}),
        "enum",
    ),
    (
        "/v1beta/models/gemini-2.5-flash:generateContent",
        GEMINI,
        {"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]},
        "number of function response parts",
    ),
    (
        "/v1beta/models/gemini-3-pro-preview:generateContent",
        GEMINI,
        {
            "contents": [
                {"role": "user", "parts": [{"text": "x"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
            ]
        },
        "missing a thought_signature",
    ),
]


@pytest.mark.parametrize(
    ("path", "body", "change", "says"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_it_refuses_what_the_vendor_refuses(upstream: Upstream, path: str, body: dict, change: dict, says: str):
    direct = subject.Gateway(f"{upstream.url}/direct", None)
    headers = {
        "authorization": f"Bearer {KEY}",
        "x-api-key": KEY,
        "x-goog-api-key": KEY,
        "anthropic-version": "2023-06-01",
    }
    assert direct.post(path, body, headers=headers)[0] == 200
    status, _, answer = direct.post(path, body | change, headers=headers)
    assert status == 400
    assert says in answer["error"]["message"]
