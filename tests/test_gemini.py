"""Google's own client before each provider."""

import json

import pytest
from google import genai
from google.genai import types

import material
from deployments import ANTHROPIC, GEMINI, OPENAI, Provider
from subject import Gateway
from upstream import Upstream

WEATHER = types.FunctionDeclaration(name="weather", parameters_json_schema=material.WEATHER_SCHEMA)
TIME = types.FunctionDeclaration(name="time", parameters_json_schema=material.TIME_SCHEMA)
TOOLS = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[WEATHER, TIME])])


def user(text: str) -> types.Content:
    return types.UserContent(parts=[types.Part(text=text)])


def whole(client: genai.Client, **asked) -> tuple[list[types.Part], types.GenerateContentResponse]:
    answer = client.models.generate_content(**asked)
    return answer.candidates[0].content.parts, answer


def streamed(client: genai.Client, **asked) -> tuple[list[types.Part], types.GenerateContentResponse]:
    """All parts of the stream as they came, and its last chunk."""
    chunks = list(client.models.generate_content_stream(**asked))
    found = (chunk.candidates[0].content for chunk in chunks if chunk.candidates)
    parts = [part for content in found if content for part in content.parts or []]
    return [part for part in parts if part.text != "" or part.thought_signature], chunks[-1]


both_ways = pytest.mark.parametrize("ask", [whole, streamed])


def text_of(parts: list[types.Part]) -> str:
    return "".join(part.text for part in parts if part.text and not part.thought)


@both_ways
def test_a_question_is_answered(gemini_client: genai.Client, provider: Provider, ask):
    parts, last = ask(gemini_client, model=provider.deployment, contents=material.QUESTION)
    assert text_of(parts) == material.ANSWER
    assert last.candidates[0].finish_reason == types.FinishReason.STOP
    assert last.usage_metadata.candidates_token_count == len(material.ANSWER.split())
    assert last.usage_metadata.prompt_token_count > 0
    assert last.usage_metadata.total_token_count > last.usage_metadata.candidates_token_count


@both_ways
def test_a_tool_loop_comes_to_its_end(gemini_client: genai.Client, provider: Provider, ask):
    contents = [user("use all tools")]
    parts, last = ask(gemini_client, model=provider.deployment, contents=contents, config=TOOLS)
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.args) for call in calls] == [
        ("weather", material.WEATHER_ARGUMENTS),
        ("time", {"zone": "Paris"}),
    ]
    contents.append(types.ModelContent(parts=parts))
    contents.append(types.UserContent(parts=answered(calls)))
    parts, _ = ask(gemini_client, model=provider.deployment, contents=contents, config=TOOLS)
    assert text_of(parts) == "The tools said: sunny; noon."


def answered(calls: list[types.FunctionCall]) -> list[types.Part]:
    return [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": result}))
        for call, result in zip(calls, ["sunny", "noon"])
    ]


@both_ways
def test_signatures_survive_a_tool_loop(gemini_client: genai.Client, provider: Provider, upstream: Upstream, ask):
    if provider is OPENAI:
        pytest.skip("Chat Completions shows no reasoning")
    thinking = types.ThinkingConfig(thinking_budget=1024, include_thoughts=True)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[WEATHER])], thinking_config=thinking, max_output_tokens=4000
    )
    contents = [user(material.QUESTION)]
    parts, _ = ask(gemini_client, model=provider.thinking, contents=contents, config=config)
    [call] = [part.function_call for part in parts if part.function_call]
    assert any(part.thought and part.text for part in parts)
    assert any(part.thought_signature for part in parts)
    contents.append(types.ModelContent(parts=parts))
    contents.append(types.UserContent(parts=answered([call])))
    parts, _ = ask(gemini_client, model=provider.thinking, contents=contents, config=config)
    assert text_of(parts) == "The tools said: sunny."
    _, last = upstream.seen(provider.thinking)
    slot = {ANTHROPIC: '"signature": "', GEMINI: '"thoughtSignature": "'}.get(provider, '"encrypted_content": "')
    assert slot in json.dumps(last.body)


def test_gemini_3_gets_its_signatures_back(gemini_client: genai.Client):
    contents = [user("use all tools")]
    for ask in (whole, streamed):
        parts, _ = ask(gemini_client, model="thinking-gemini-3", contents=contents, config=TOOLS)
        calls = [part.function_call for part in parts if part.function_call]
        history = [*contents, types.ModelContent(parts=parts), types.UserContent(parts=answered(calls))]
        parts, _ = ask(gemini_client, model="thinking-gemini-3", contents=history, config=TOOLS)
        assert text_of(parts) == "The tools said: sunny; noon."


def test_the_choice_of_a_tool_is_kept(gemini_client: genai.Client, provider: Provider):
    for calling, expected in (
        (types.FunctionCallingConfig(mode="ANY", allowed_function_names=["time"]), ["time"]),
        (types.FunctionCallingConfig(mode="ANY"), ["weather"]),
        (types.FunctionCallingConfig(mode="NONE"), []),
    ):
        config = TOOLS.model_copy(update={"tool_config": types.ToolConfig(function_calling_config=calling)})
        parts, _ = whole(gemini_client, model=provider.deployment, contents=material.QUESTION, config=config)
        assert [part.function_call.name for part in parts if part.function_call] == expected, calling


def test_an_answer_follows_its_schema(gemini_client: genai.Client, provider: Provider):
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=material.Weather)
    answer = gemini_client.models.generate_content(model=provider.deployment, contents=material.QUESTION, config=config)
    assert answer.parsed == material.Weather(city="Paris", degrees=1.5, raining=True)


def test_pictures_and_documents_are_seen(gemini_client: genai.Client, provider: Provider):
    contents = [
        types.Part.from_bytes(data=material.png(), mime_type="image/png"),
        types.Part(inline_data=types.Blob(data=material.PDF_BYTES, mime_type="application/pdf")),
        "Look",
    ]
    parts, _ = whole(gemini_client, model=provider.deployment, contents=contents)
    assert text_of(parts) == 'You said: "Look". I saw image/png, application/pdf.'


def test_system_prompts_reach_the_provider(gemini_client: genai.Client, provider: Provider, upstream: Upstream):
    config = types.GenerateContentConfig(system_instruction="Be brief, said the system.", temperature=0.5)
    whole(gemini_client, model=provider.deployment, contents="hi", config=config)
    [seen] = upstream.seen(provider.deployment)
    assert "Be brief, said the system." in json.dumps(seen.body)
    assert "0.5" in json.dumps(seen.body)


def test_the_answer_ends_where_the_tokens_end(gemini_client: genai.Client, provider: Provider):
    question = " ".join(str(number) for number in range(30))
    config = types.GenerateContentConfig(max_output_tokens=16)
    _, last = whole(gemini_client, model=provider.deployment, contents=question, config=config)
    assert last.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


def test_tokens_are_counted(gemini_client: genai.Client, provider: Provider):
    few = gemini_client.models.count_tokens(model=provider.deployment, contents=material.QUESTION).total_tokens
    many = gemini_client.models.count_tokens(model=provider.deployment, contents=material.QUESTION * 10).total_tokens
    assert 5 < few < 40
    assert many > few * 5


def test_either_version_of_the_path_and_either_place_of_the_key_will_do(gateway: Gateway, provider: Provider):
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    for version in ("v1", "v1beta"):
        path = f"/{version}/models/{provider.deployment}:generateContent"
        for where, headers in ((f"?key={gateway.key}", {}), ("", {"x-goog-api-key": gateway.key})):
            status, _, answer = gateway.post(path + where, body, headers=headers, key=False)
            assert status == 200
            assert answer["candidates"][0]["content"]["parts"][0]["text"] == 'You said: "hi".'


def test_a_stream_without_alt_sse_is_a_json_array(gateway: Gateway, provider: Provider):
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    status, headers, chunks = gateway.post(f"/v1beta/models/{provider.deployment}:streamGenerateContent", body)
    assert status == 200
    assert headers["content-type"].startswith("application/json")
    texts = [
        part.get("text", "") for chunk in chunks for part in chunk["candidates"][0].get("content", {}).get("parts", [])
    ]
    assert "".join(texts) == 'You said: "hi".'
