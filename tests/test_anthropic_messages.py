"""Anthropic's own client before each provider."""

import json

import anthropic
import pytest

import material
from deployments import ANTHROPIC, GEMINI, OPENAI, RESPONSES, Provider
from subject import Gateway
from upstream import Upstream
from upstream.anthropic_messages import REDACT

ASKED = [{"role": "user", "content": material.QUESTION}]
WEATHER = {"name": "weather", "description": "Tells the weather", "input_schema": material.WEATHER_SCHEMA}
TIME = {"name": "time", "input_schema": material.TIME_SCHEMA}
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000}


def whole(client: anthropic.Anthropic, **asked):
    return client.messages.create(**asked)


def streamed(client: anthropic.Anthropic, **asked):
    with client.messages.stream(**asked) as stream:
        return stream.get_final_message()


both_ways = pytest.mark.parametrize("ask", [whole, streamed])


def said(message) -> dict:
    """A message without what each answer has of its own."""
    kept = message.model_dump(exclude={"id"}, exclude_none=True)
    for block in kept["content"]:
        block.pop("id", None)
        block.pop("parsed_output", None)
    return kept


def test_a_question_is_answered(anthropic_client: anthropic.Anthropic, provider: Provider):
    answer = anthropic_client.messages.create(model=provider.deployment, max_tokens=100, messages=ASKED)
    assert [block.type for block in answer.content] == ["text"]
    assert answer.content[0].text == material.ANSWER
    assert (answer.role, answer.type, answer.stop_reason) == ("assistant", "message", "end_turn")
    assert answer.model == provider.deployment
    assert answer.usage.output_tokens == len(material.ANSWER.split())
    assert answer.usage.input_tokens > 0


@pytest.mark.parametrize("tools", [[], [WEATHER, TIME]], ids=["text", "tools"])
def test_the_final_message_of_a_stream_equals_the_whole_answer(anthropic_client, provider: Provider, tools: list):
    messages = [{"role": "user", "content": "first say something, then use all tools"}]
    asked = {
        "model": provider.deployment,
        "max_tokens": 100,
        "messages": messages,
        **({"tools": tools} if tools else {}),
    }
    expected = whole(anthropic_client, **asked)
    with anthropic_client.messages.stream(**asked) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == expected.content[0].text
    assert said(final) == said(expected)


def test_the_events_of_a_stream_are_complete_and_in_order(anthropic_client, provider: Provider):
    events = list(
        anthropic_client.messages.create(model=provider.deployment, max_tokens=100, messages=ASKED, stream=True)
    )
    kinds = [event.type for event in events if event.type != "ping"]
    deltas = kinds.count("content_block_delta")
    assert deltas > 3
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * deltas,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@both_ways
@pytest.mark.parametrize("thinking", [False, True], ids=["plain", "thinking"])
def test_a_tool_loop_comes_to_its_end(anthropic_client, provider: Provider, upstream: Upstream, ask, thinking: bool):
    model = provider.thinking if thinking else provider.deployment
    asked = {"model": model, "max_tokens": 100, "tools": [WEATHER, TIME], **(THINKING if thinking else {})}
    messages: list = [{"role": "user", "content": "use all tools"}]
    first = ask(anthropic_client, **asked, messages=messages)
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [
        ("weather", material.WEATHER_ARGUMENTS),
        ("time", {"zone": "Paris"}),
    ]
    messages.append({"role": "assistant", "content": first.content})
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": output}
        for call, output in zip(calls, ["sunny", "noon"])
    ]
    messages.append({"role": "user", "content": results})
    second = ask(anthropic_client, **asked, messages=messages)
    assert [block.text for block in second.content if block.type == "text"] == ["The tools said: sunny; noon."]
    if thinking and provider is not OPENAI:
        assert_thinking_came_back(provider, first, upstream)


def assert_thinking_came_back(provider: Provider, first, upstream: Upstream) -> None:
    assert first.content[0].type == "thinking"
    if provider is not RESPONSES:  # a summary of the reasoning must be asked for there
        assert first.content[0].thinking.startswith("The user said:")
    _, last = upstream.seen(provider.thinking)
    slot = {ANTHROPIC: '"signature": "', GEMINI: '"thoughtSignature": "', RESPONSES: '"encrypted_content": "'}[provider]
    assert slot in json.dumps(last.body)
    assert "skip_thought_signature_validator" not in json.dumps(last.body)


@both_ways
def test_hidden_thinking_comes_back_unchanged(anthropic_client: anthropic.Anthropic, ask):
    asked = {"model": ANTHROPIC.thinking, "tools": [WEATHER], **THINKING}
    messages: list = [{"role": "user", "content": REDACT}]
    first = ask(anthropic_client, **asked, messages=messages)
    assert [block.type for block in first.content] == ["redacted_thinking", "tool_use"]
    messages.append({"role": "assistant", "content": first.content})
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "sunny"}
    messages.append({"role": "user", "content": [result]})
    assert ask(anthropic_client, **asked, messages=messages).stop_reason == "end_turn"


def test_a_tool_s_failure_is_told(anthropic_client: anthropic.Anthropic, provider: Provider):
    messages: list = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_x1", "name": "weather", "input": {}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_x1", "content": "no signal", "is_error": True}],
        },
    ]
    answer = anthropic_client.messages.create(
        model=provider.deployment, max_tokens=100, messages=messages, tools=[WEATHER]
    )
    assert "no signal" in answer.content[0].text


def test_system_prompts_reach_the_provider(anthropic_client, provider: Provider, upstream: Upstream):
    system = [{"type": "text", "text": "Be brief, said the system.", "cache_control": {"type": "ephemeral"}}]
    anthropic_client.messages.create(model=provider.deployment, max_tokens=100, messages=ASKED, system=system)
    [seen] = upstream.seen(provider.deployment)
    assert "Be brief, said the system." in json.dumps(seen.body)


def test_pictures_and_documents_are_seen(anthropic_client: anthropic.Anthropic, provider: Provider):
    def source(kind: str, data: str) -> dict:
        return {"type": "base64", "media_type": kind, "data": data}

    content = [
        {"type": "image", "source": source("image/png", material.PICTURE)},
        {"type": "document", "source": source("application/pdf", material.PDF), "title": "a.pdf"},
        {"type": "text", "text": "Look"},
    ]
    answer = anthropic_client.messages.create(
        model=provider.deployment, max_tokens=100, messages=[{"role": "user", "content": content}]
    )
    assert answer.content[0].text == 'You said: "Look". I saw image/png, application/pdf.'


def test_the_choice_of_a_tool_is_kept(anthropic_client: anthropic.Anthropic, provider: Provider):
    asked = {"model": provider.deployment, "max_tokens": 100, "messages": ASKED, "tools": [WEATHER, TIME]}
    for choice, expected in (
        ({"type": "tool", "name": "time"}, ["time"]),
        ({"type": "any"}, ["weather"]),
        ({"type": "none"}, []),
    ):
        answer = anthropic_client.messages.create(**asked, tool_choice=choice)
        assert [block.name for block in answer.content if block.type == "tool_use"] == expected, choice


@both_ways
def test_the_answer_ends_where_the_tokens_end(anthropic_client: anthropic.Anthropic, provider: Provider, ask):
    messages = [{"role": "user", "content": " ".join(str(number) for number in range(30))}]
    answer = ask(anthropic_client, model=provider.deployment, max_tokens=16, messages=messages)
    assert answer.stop_reason == "max_tokens"


def test_the_answer_ends_before_a_stop_word(anthropic_client: anthropic.Anthropic, provider: Provider):
    if provider is RESPONSES or provider is OPENAI:
        pytest.skip("Anthropic's clients are put through to Responses, which has no stop words")
    messages = [{"role": "user", "content": "one two three"}]
    answer = anthropic_client.messages.create(
        model=provider.deployment, max_tokens=100, messages=messages, stop_sequences=["two"]
    )
    assert answer.content[0].text == 'You said: "one '
    if provider is ANTHROPIC:
        assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "two")


def test_an_answer_can_be_parsed_into_a_model(anthropic_client: anthropic.Anthropic, provider: Provider):
    answer = anthropic_client.messages.parse(
        model=provider.deployment, max_tokens=100, messages=ASKED, output_format=material.Weather
    )
    assert answer.parsed_output == material.Weather(city="Paris", degrees=1.5, raining=True)


def test_tokens_are_counted(anthropic_client: anthropic.Anthropic, provider: Provider):
    few = anthropic_client.messages.count_tokens(model=provider.deployment, messages=ASKED).input_tokens
    long = [{"role": "user", "content": material.QUESTION * 10}]
    many = anthropic_client.messages.count_tokens(
        model=provider.deployment, messages=long, tools=[WEATHER]
    ).input_tokens
    assert 5 < few < 40
    assert many > few * 5


def test_keys_may_come_in_either_header(gateway: Gateway):
    body = {"model": ANTHROPIC.deployment, "max_tokens": 100, "messages": ASKED}
    for headers in ({"x-api-key": gateway.key}, {"authorization": f"Bearer {gateway.key}"}):
        assert gateway.post("/v1/messages", body, headers=headers, key=False)[0] == 200


def test_what_the_native_api_knows_goes_through(gateway: Gateway, upstream: Upstream):
    body = {
        "model": ANTHROPIC.deployment,
        "max_tokens": 100,
        "messages": ASKED,
        "context_management": {"edits": []},
        "service_tier": "auto",
    }
    status, _, _ = gateway.post("/v1/messages", body, headers={"anthropic-beta": "context-management-2025-06-27"})
    assert status == 200
    [seen] = upstream.seen(ANTHROPIC.deployment)
    assert seen.body["context_management"] == {"edits": []}
    assert "context-management-2025-06-27" in seen.headers["anthropic-beta"]
