"""OpenAI's own client, Responses, before each provider."""

import json

import openai
import pytest

import material
from deployments import ANTHROPIC, GEMINI, OPENAI, RESPONSES, Provider
from upstream import Upstream

WEATHER = {"type": "function", "name": "weather", "parameters": material.WEATHER_SCHEMA, "strict": False}
TIME = {"type": "function", "name": "time", "parameters": material.TIME_SCHEMA, "strict": False}


def whole(client: openai.OpenAI, **asked):
    return client.responses.create(**asked)


def streamed(client: openai.OpenAI, **asked):
    """A stream as the client's own helper puts it together."""
    with client.responses.stream(**asked) as stream:
        return stream.get_final_response()


both_ways = pytest.mark.parametrize("ask", [whole, streamed])


@both_ways
def test_a_question_is_answered(openai_client: openai.OpenAI, provider: Provider, ask):
    answer = ask(openai_client, model=provider.deployment, input=material.QUESTION)
    assert answer.output_text == material.ANSWER
    assert answer.status == "completed"
    assert answer.model == provider.deployment
    assert answer.usage.output_tokens == len(material.ANSWER.split())
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def test_the_events_of_a_stream_are_complete_and_in_order(openai_client: openai.OpenAI, provider: Provider):
    events = list(openai_client.responses.create(model=provider.deployment, input=material.QUESTION, stream=True))
    kinds = [event.type.removeprefix("response.") for event in events]
    deltas = kinds.count("output_text.delta")
    assert deltas > 3
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * deltas,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == sorted({event.sequence_number for event in events})
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == material.ANSWER


@both_ways
def test_a_tool_loop_comes_to_its_end(openai_client: openai.OpenAI, provider: Provider, ask):
    asked = {"model": provider.deployment, "tools": [WEATHER, TIME], "store": False}
    items: list = [{"role": "user", "content": "use all tools"}]
    first = ask(openai_client, **asked, input=items)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("weather", material.WEATHER_ARGUMENTS),
        ("time", {"zone": "Paris"}),
    ]
    items += [item.model_dump(exclude={"parsed_arguments"}, exclude_none=True) for item in first.output]
    items += [
        {"type": "function_call_output", "call_id": call.call_id, "output": output}
        for call, output in zip(calls, ["sunny", "noon"])
    ]
    second = ask(openai_client, **asked, input=items)
    assert second.output_text == "The tools said: sunny; noon."


@both_ways
def test_reasoning_comes_back_unchanged_in_a_tool_loop(openai_client, provider: Provider, upstream: Upstream, ask):
    asked = {
        "model": provider.thinking,
        "tools": [WEATHER],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 4000,
    }
    items: list = [{"role": "user", "content": material.QUESTION}]
    first = ask(openai_client, **asked, input=items)
    [call] = [item for item in first.output if item.type == "function_call"]
    reasoning = [item for item in first.output if item.type == "reasoning"]
    if provider in (RESPONSES, OPENAI):
        assert [item.type for item in first.output] == ["reasoning", "function_call"]
    if provider is not GEMINI:
        assert reasoning[0].encrypted_content
    assert reasoning[0].summary[0].text.startswith("The user said:")
    items += [item.model_dump(exclude={"parsed_arguments", "status"}, exclude_none=True) for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    second = ask(openai_client, **asked, input=items)
    assert second.output_text == "The tools said: sunny."
    _, last = upstream.seen(provider.thinking)
    slot = {"anthropic": '"signature": "', "gemini": '"thoughtSignature": "'}.get(
        provider.name, '"encrypted_content": "'
    )
    assert slot in json.dumps(last.body)


@both_ways
def test_an_answer_follows_its_schema(openai_client: openai.OpenAI, provider: Provider, ask):
    schema = material.Weather.model_json_schema() | {"additionalProperties": False}
    form = {"type": "json_schema", "name": "weather", "schema": schema, "strict": True}
    answer = ask(openai_client, model=provider.deployment, input=material.QUESTION, text={"format": form})
    assert json.loads(answer.output_text) == {"city": "Paris", "degrees": 1.5, "raining": True}


def test_an_answer_can_be_parsed_into_a_model(openai_client: openai.OpenAI, provider: Provider):
    answer = openai_client.responses.parse(
        model=provider.deployment, input=material.QUESTION, text_format=material.Weather
    )
    assert answer.output_parsed == material.Weather(city="Paris", degrees=1.5, raining=True)


def test_pictures_and_documents_are_seen(openai_client: openai.OpenAI, provider: Provider):
    content = [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{material.PICTURE}", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{material.PDF}"},
    ]
    answer = openai_client.responses.create(model=provider.deployment, input=[{"role": "user", "content": content}])
    assert answer.output_text == 'You said: "Look". I saw image/png, application/pdf.'


def test_instructions_reach_the_provider(openai_client: openai.OpenAI, provider: Provider, upstream: Upstream):
    openai_client.responses.create(model=provider.deployment, input="hi", instructions="Be brief, said the system.")
    [seen] = upstream.seen(provider.deployment)
    assert "Be brief, said the system." in json.dumps(seen.body)


def test_an_answer_without_enough_tokens_is_incomplete(openai_client: openai.OpenAI, provider: Provider):
    asked = {"model": provider.deployment, "input": " ".join("abcdefghijklmnopqrstuvwxyz"), "max_output_tokens": 16}
    last = list(openai_client.responses.create(**asked, stream=True))[-1]
    assert last.type == "response.incomplete"
    for answer in (openai_client.responses.create(**asked), last.response):
        assert answer.status == "incomplete"
        assert answer.incomplete_details.reason == "max_output_tokens"


def test_an_unknown_parameter_of_the_native_api_goes_through(openai_client: openai.OpenAI, upstream: Upstream):
    answer = openai_client.responses.create(
        model=RESPONSES.deployment, input="hi", truncation="disabled", max_tool_calls=3
    )
    assert answer.output_text == 'You said: "hi".'
    [seen] = upstream.seen(RESPONSES.deployment)
    assert (seen.body["truncation"], seen.body["max_tool_calls"]) == ("disabled", 3)


def test_thinking_tokens_are_counted(openai_client: openai.OpenAI, provider: Provider):
    if provider is ANTHROPIC:
        pytest.skip("Anthropic does not count them apart")
    answer = openai_client.responses.create(
        model=provider.thinking, input=material.QUESTION, reasoning={"effort": "low"}, max_output_tokens=4000
    )
    assert answer.usage.output_tokens_details.reasoning_tokens > 0
    assert answer.usage.output_tokens > answer.usage.output_tokens_details.reasoning_tokens
