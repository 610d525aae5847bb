"""OpenAI's own client, the legacy Completions, before each provider."""

import openai
import pytest

import material
from deployments import RESPONSES, Provider


def test_a_prompt_is_completed(openai_client: openai.OpenAI, provider: Provider):
    answer = openai_client.completions.create(model=provider.deployment, prompt=material.QUESTION)
    [choice] = answer.choices
    assert choice.text == material.ANSWER
    assert choice.finish_reason == "stop"
    assert answer.object == "text_completion"
    assert answer.usage.completion_tokens == len(material.ANSWER.split())


def test_a_completion_is_streamed(openai_client: openai.OpenAI, provider: Provider):
    chunks = list(openai_client.completions.create(model=provider.deployment, prompt=material.QUESTION, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == material.ANSWER
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


def test_a_completion_ends_before_a_stop_word(openai_client: openai.OpenAI, provider: Provider):
    if provider is RESPONSES:
        pytest.skip("Responses has no stop words")
    answer = openai_client.completions.create(model=provider.deployment, prompt="one two three", stop="two")
    assert answer.choices[0].text == 'You said: "one '


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_native_endpoint_is_used_where_there_is_one(openai_client: openai.OpenAI, upstream, stream: bool):
    answer = openai_client.completions.create(model="to-completions", prompt=material.QUESTION, stream=stream)
    texts = [chunk.choices[0].text for chunk in answer if chunk.choices] if stream else [answer.choices[0].text]
    assert "".join(texts) == material.ANSWER
    [seen] = upstream.seen("to-completions")
    assert seen.path.endswith("/v1/completions")
