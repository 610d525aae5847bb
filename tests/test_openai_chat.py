"""OpenAI's own client, Chat Completions, before each provider."""

import json

import openai
import pytest

import material
from deployments import ANTHROPIC, GEMINI, OPENAI, RESPONSES, Provider
from upstream import Upstream

ASKED = [{"role": "user", "content": material.QUESTION}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells the weather", "parameters": material.WEATHER_SCHEMA},
}
TIME = {"type": "function", "function": {"name": "time", "parameters": material.TIME_SCHEMA}}


def streamed(client: openai.OpenAI, **asked):
    """A stream as the client's own helper puts it together."""
    with client.chat.completions.stream(**asked) as stream:
        return stream.get_final_completion()


def call_of(message):
    return [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]


def test_a_question_is_answered(openai_client: openai.OpenAI, provider: Provider):
    answer = openai_client.chat.completions.create(model=provider.deployment, messages=ASKED)
    [choice] = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content == material.ANSWER
    assert choice.finish_reason == "stop"
    assert answer.model == provider.deployment
    assert answer.object == "chat.completion"
    assert answer.usage.completion_tokens == len(material.ANSWER.split())
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_the_same(openai_client: openai.OpenAI, provider: Provider):
    asked = {"model": provider.deployment, "messages": ASKED}
    whole = openai_client.chat.completions.create(**asked)
    final = streamed(openai_client, **asked, stream_options={"include_usage": True})
    assert final.choices[0].message.content == whole.choices[0].message.content
    assert final.choices[0].finish_reason == whole.choices[0].finish_reason
    assert final.usage.prompt_tokens == whole.usage.prompt_tokens
    assert final.usage.completion_tokens == whole.usage.completion_tokens


def test_chunks_have_one_id_a_role_first_and_usage_only_if_asked(openai_client: openai.OpenAI, provider: Provider):
    asked = {"model": provider.deployment, "messages": ASKED, "stream": True}
    chunks = list(openai_client.chat.completions.create(**asked))
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {provider.deployment}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 3
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert all(chunk.usage is None for chunk in chunks)
    counted = list(openai_client.chat.completions.create(**asked, stream_options={"include_usage": True}))
    assert [chunk.usage is not None for chunk in counted] == [False] * (len(counted) - 1) + [True]


def test_system_prompts_and_earlier_turns_reach_the_provider(openai_client, provider: Provider, upstream: Upstream):
    messages = [
        {"role": "system", "content": "Be brief, said the system."},
        {"role": "user", "content": "First question"},
        {"role": "assistant", "content": "First answer"},
        {"role": "user", "content": "Second question"},
    ]
    answer = openai_client.chat.completions.create(model=provider.deployment, messages=messages)
    assert answer.choices[0].message.content == 'You said: "Second question".'
    [seen] = upstream.seen(provider.deployment)
    for text in ("Be brief, said the system.", "First question", "First answer"):
        assert text in json.dumps(seen.body)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_tool_loop_comes_to_its_end(openai_client: openai.OpenAI, provider: Provider, stream: bool):
    ask = streamed if stream else (lambda client, **asked: client.chat.completions.create(**asked))
    messages = list(ASKED)
    first = ask(openai_client, model=provider.deployment, messages=messages, tools=[WEATHER]).choices[0]
    assert first.finish_reason == "tool_calls"
    assert call_of(first.message) == [("weather", material.WEATHER_ARGUMENTS)]
    [call] = first.message.tool_calls
    assert call.id
    # What the streaming helper adds to the calls is not part of the API.
    helpers = {"parsed": True, "tool_calls": {"__all__": {"index": True, "function": {"parsed_arguments"}}}}
    messages.append(first.message.model_dump(exclude_none=True, exclude=helpers))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 °C"})
    second = ask(openai_client, model=provider.deployment, messages=messages, tools=[WEATHER]).choices[0]
    assert second.message.content == "The tools said: sunny, 21 °C."
    assert second.finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_two_tools_are_called_at_once(openai_client: openai.OpenAI, provider: Provider, stream: bool):
    ask = streamed if stream else (lambda client, **asked: client.chat.completions.create(**asked))
    messages = [{"role": "user", "content": "first say something, then use all tools"}]
    message = ask(openai_client, model=provider.deployment, messages=messages, tools=[WEATHER, TIME]).choices[0].message
    assert message.content == "Let me look."
    assert call_of(message) == [("weather", material.WEATHER_ARGUMENTS), ("time", {"zone": "Paris"})]
    ids = [call.id for call in message.tool_calls]
    assert len(set(ids)) == 2
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.function.name, "arguments": call.function.arguments},
        }
        for call in message.tool_calls
    ]
    messages.append({"role": "assistant", "content": message.content, "tool_calls": calls})
    messages += [
        {"role": "tool", "tool_call_id": ids[0], "content": "sunny"},
        {"role": "tool", "tool_call_id": ids[1], "content": "noon"},
    ]
    final = openai_client.chat.completions.create(model=provider.deployment, messages=messages, tools=[WEATHER, TIME])
    assert final.choices[0].message.content == "The tools said: sunny; noon."


def test_parallel_calls_can_be_forbidden(openai_client: openai.OpenAI, provider: Provider):
    if provider is GEMINI:
        pytest.skip("Gemini has no way to say it")
    messages = [{"role": "user", "content": "use all tools"}]
    asked = {"model": provider.deployment, "messages": messages, "tools": [WEATHER, TIME], "parallel_tool_calls": False}
    answer = openai_client.chat.completions.create(**asked)
    assert [name for name, _ in call_of(answer.choices[0].message)] == ["weather"]


def test_the_choice_of_a_tool_is_kept(openai_client: openai.OpenAI, provider: Provider):
    asked = {"model": provider.deployment, "messages": ASKED, "tools": [WEATHER, TIME]}
    named = {"type": "function", "function": {"name": "time"}}
    for choice, expected in ((named, ["time"]), ("required", ["weather"]), ("auto", ["weather"]), ("none", [])):
        answer = openai_client.chat.completions.create(**asked, tool_choice=choice)
        assert [name for name, _ in call_of(answer.choices[0].message)] == expected, choice


def test_a_schema_with_everything_is_accepted_for_tools(openai_client: openai.OpenAI, provider: Provider):
    tool = {"type": "function", "function": {"name": "order", "parameters": material.DEEP_SCHEMA}}
    answer = openai_client.chat.completions.create(model=provider.deployment, messages=ASKED, tools=[tool])
    [(name, arguments)] = call_of(answer.choices[0].message)
    assert name == "order"
    assert arguments["items"][0]["price"] == 1.5


def test_an_answer_can_be_parsed_into_a_model(openai_client: openai.OpenAI, provider: Provider):
    answer = openai_client.chat.completions.parse(
        model=provider.deployment, messages=ASKED, response_format=material.Weather
    )
    assert answer.choices[0].message.parsed == material.Weather(city="Paris", degrees=1.5, raining=True)


def test_a_json_object_can_be_asked_for(openai_client: openai.OpenAI, provider: Provider):
    if provider is ANTHROPIC:
        pytest.skip("Anthropic knows schemas only")
    answer = openai_client.chat.completions.create(
        model=provider.deployment, messages=ASKED, response_format={"type": "json_object"}
    )
    assert json.loads(answer.choices[0].message.content) == {"answer": "Paris"}


def test_pictures_and_documents_are_seen(openai_client: openai.OpenAI, provider: Provider):
    content = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{material.PICTURE}"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{material.PDF}"}},
    ]
    answer = openai_client.chat.completions.create(
        model=provider.deployment, messages=[{"role": "user", "content": content}]
    )
    assert answer.choices[0].message.content == 'You said: "Look". I saw image/png, application/pdf.'


def test_the_answer_ends_where_the_tokens_end(openai_client: openai.OpenAI, provider: Provider):
    question = " ".join(str(number) for number in range(30))
    asked = {"model": provider.deployment, "messages": [{"role": "user", "content": question}], "max_tokens": 16}
    for choice in (
        openai_client.chat.completions.create(**asked).choices[0],
        [chunk.choices[0] for chunk in openai_client.chat.completions.create(**asked, stream=True) if chunk.choices][
            -1
        ],
    ):
        assert choice.finish_reason == "length"


def test_the_answer_ends_before_a_stop_word(openai_client: openai.OpenAI, provider: Provider):
    if provider is RESPONSES:
        pytest.skip("Responses has no stop words")
    messages = [{"role": "user", "content": "one two three"}]
    answer = openai_client.chat.completions.create(model=provider.deployment, messages=messages, stop=["two"])
    assert answer.choices[0].message.content == 'You said: "one '
    assert answer.choices[0].finish_reason == "stop"


def test_several_answers_can_be_asked_for(openai_client: openai.OpenAI):
    for provider in (OPENAI, GEMINI):
        answer = openai_client.chat.completions.create(model=provider.deployment, messages=ASKED, n=2)
        assert [choice.index for choice in answer.choices] == [0, 1]
        assert {choice.message.content for choice in answer.choices} == {material.ANSWER}


def test_log_probabilities_come_through(openai_client: openai.OpenAI):
    for provider in (OPENAI, GEMINI):
        answer = openai_client.chat.completions.create(model=provider.deployment, messages=ASKED, logprobs=True)
        entries = answer.choices[0].logprobs.content
        assert "".join(entry.token for entry in entries) == material.ANSWER
        assert {entry.logprob for entry in entries} == {-0.5}


def test_thinking_is_shown_and_counted(openai_client: openai.OpenAI, provider: Provider):
    answer = openai_client.chat.completions.create(
        model=provider.thinking, messages=ASKED, reasoning_effort="low", max_completion_tokens=4000
    )
    assert answer.choices[0].message.content == material.ANSWER
    if provider in (ANTHROPIC, GEMINI):
        assert answer.choices[0].message.reasoning_content.startswith("The user said:")
    if provider is not ANTHROPIC:
        assert answer.usage.completion_tokens_details.reasoning_tokens > 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ["thinking-anthropic", "thinking-gemini", "thinking-gemini-3"])
def test_signatures_survive_a_tool_loop(openai_client: openai.OpenAI, upstream: Upstream, model: str, stream: bool):
    """The client sends back what it was given: LiteLLM's `thinking_blocks`, and the calls with all their fields."""
    asked = {"model": model, "tools": [WEATHER], "reasoning_effort": "low", "max_completion_tokens": 4000}
    messages = list(ASKED)
    if stream:
        message = gathered(openai_client.chat.completions.create(**asked, messages=messages, stream=True))
    else:
        message = (
            openai_client.chat.completions.create(**asked, messages=messages)
            .choices[0]
            .message.model_dump(exclude_none=True)
        )
    messages.append(message)
    messages.append({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sunny"})
    final = openai_client.chat.completions.create(**asked, messages=messages)
    assert final.choices[0].message.content == "The tools said: sunny."
    _, second = upstream.seen(model)
    signature = "signature" if model == "thinking-anthropic" else "thoughtSignature"
    assert f'"{signature}": "' in json.dumps(second.body)
    assert "skip_thought_signature_validator" not in json.dumps(second.body)


def gathered(chunks) -> dict:
    """The message that a stream adds up to, with the fields that only LiteLLM's clients know."""
    message: dict = {"role": "assistant", "content": "", "tool_calls": [], "thinking_blocks": []}
    for chunk in chunks:
        if not chunk.choices:
            continue
        delta = chunk.choices[0].delta.model_dump(exclude_none=True)
        message["content"] += delta.get("content", "")
        for block in delta.get("thinking_blocks", []):
            if not message["thinking_blocks"]:
                message["thinking_blocks"].append({"type": block["type"], "thinking": "", "signature": ""})
            for field in ("thinking", "signature"):
                message["thinking_blocks"][0][field] += block.get(field) or ""
        for call in delta.get("tool_calls", []):
            if call["index"] == len(message["tool_calls"]):
                message["tool_calls"].append(call | {"function": {**call["function"], "arguments": ""}})
            known = message["tool_calls"][call["index"]]
            known["function"]["arguments"] += call["function"].get("arguments", "")
            known |= {name: value for name, value in call.items() if name not in ("function", "index")}
    for call in message["tool_calls"]:
        call.pop("index")
    return {name: value for name, value in message.items() if value}
