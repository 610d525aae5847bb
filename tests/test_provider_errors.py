"""A provider says no, and each client raises what it raises for its own vendor."""

import anthropic
import openai
import pytest
from google.genai import errors as gemini_errors

from deployments import PATIENCE, PROVIDERS, Provider
from subject import Gateway

ASKED = [{"role": "user", "content": "hi"}]

#: What the provider says, the status that clients may get for it, and the exceptions of OpenAI's and Anthropic's client.
ERRORS = [
    ("400", {400}, openai.BadRequestError, anthropic.BadRequestError),
    ("401", {401}, openai.AuthenticationError, anthropic.AuthenticationError),
    ("403", {403}, openai.PermissionDeniedError, anthropic.PermissionDeniedError),
    ("404", {404}, openai.NotFoundError, anthropic.NotFoundError),
    ("413", {400, 413}, openai.APIStatusError, anthropic.APIStatusError),
    ("429", {429}, openai.RateLimitError, anthropic.RateLimitError),
    ("500", {500}, openai.InternalServerError, anthropic.InternalServerError),
    ("503", {503}, openai.InternalServerError, anthropic.InternalServerError),
    ("504", {504, 408}, openai.APIStatusError, anthropic.APIStatusError),
    ("529", {500, 503, 529}, openai.InternalServerError, anthropic.InternalServerError),
    ("context-window", {400}, openai.BadRequestError, anthropic.BadRequestError),
    ("content-filter", {400}, openai.BadRequestError, anthropic.BadRequestError),
    ("hang", {408, 504}, openai.APIStatusError, anthropic.APIStatusError),
    ("refused", {500, 502, 503}, openai.InternalServerError, anthropic.InternalServerError),
]

#: Provider's words that must reach the client.
WORDS = {
    "context-window": ["maximum context length", "prompt is too long", "maximum number of tokens"],
    "content-filter": ["safety", "content filtering"],
    "hang": ["timed out", "timeout"],
    "refused": ["refused"],
}

every_error = pytest.mark.parametrize(
    ("fault", "statuses", "of_openai", "of_anthropic"), ERRORS, ids=[row[0] for row in ERRORS]
)


def told(fault: str, message: str) -> bool:
    return any(words in message.lower() for words in WORDS.get(fault, [f"upstream says {fault}"]))


@every_error
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_openai_s_client_raises_the_right_exception(
    openai_client, provider: Provider, fault: str, statuses: set, of_openai: type, of_anthropic: type, stream: bool
):
    with pytest.raises(of_openai) as raised:
        openai_client.chat.completions.create(model=provider.failing(fault), messages=ASKED, stream=stream)
    assert raised.value.status_code in statuses
    assert told(fault, raised.value.message)


@every_error
def test_openai_s_client_raises_the_right_exception_for_responses(
    openai_client, provider: Provider, fault: str, statuses: set, of_openai: type, of_anthropic: type
):
    with pytest.raises(of_openai) as raised:
        openai_client.responses.create(model=provider.failing(fault), input="hi")
    assert raised.value.status_code in statuses
    assert told(fault, raised.value.message)


@every_error
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_anthropic_s_client_raises_the_right_exception(
    anthropic_client, provider: Provider, fault: str, statuses: set, of_openai: type, of_anthropic: type, stream: bool
):
    asked = {"model": provider.failing(fault), "max_tokens": 100, "messages": ASKED, "stream": stream}
    with pytest.raises(of_anthropic) as raised:
        anthropic_client.messages.create(**asked)
    assert raised.value.status_code in statuses
    assert raised.value.body["type"] == "error"
    assert told(fault, raised.value.message)


@every_error
def test_google_s_client_raises_the_right_exception(
    gemini_client, provider: Provider, fault: str, statuses: set, of_openai: type, of_anthropic: type
):
    with pytest.raises(gemini_errors.APIError) as raised:
        gemini_client.models.generate_content(model=provider.failing(fault), contents="hi")
    assert raised.value.code in statuses
    assert isinstance(
        raised.value, gemini_errors.ServerError if raised.value.code >= 500 else gemini_errors.ClientError
    )
    assert told(fault, raised.value.message)


def test_the_time_to_wait_is_told(gateway: Gateway, provider: Provider):
    body = {"model": provider.failing("429"), "messages": ASKED}
    status, headers, _ = gateway.post("/v1/chat/completions", body)
    assert status == 429
    assert headers["llm_provider-retry-after"] == "7"


def test_a_wrong_key_of_the_operator_is_the_provider_s_401(openai_client: openai.OpenAI):
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
        openai_client.chat.completions.create(model="wrong-key", messages=ASKED)


def test_a_key_that_the_operator_did_not_set_is_named_and_nothing_is_sent(openai_client: openai.OpenAI, upstream):
    with pytest.raises(openai.AuthenticationError, match="OUTER_TESTS_NOT_SET"):
        openai_client.chat.completions.create(model="missing-key", messages=ASKED)
    assert upstream.seen("missing-key") == []


class TestAStreamThatBreaks:
    """After the head of the answer there is no status: the error comes as an event, and never a proper end."""

    faults = pytest.mark.parametrize(
        "fault", ["cut", "reset-body", "unfinished", "error-event", "garbage-event", "hang-body"]
    )

    @faults
    def test_openai_s_client_raises(self, openai_client: openai.OpenAI, provider: Provider, fault: str):
        chunks = []
        with pytest.raises(openai.APIError) as raised:
            for chunk in openai_client.chat.completions.create(
                model=provider.failing(fault), messages=[{"role": "user", "content": "a b c d e f g h"}], stream=True
            ):
                chunks.append(chunk)
        assert any(chunk.choices[0].delta.content for chunk in chunks)
        if fault == "error-event":
            assert "the model broke down" in raised.value.message

    @faults
    def test_openai_s_client_gets_an_event_of_failure_from_responses(
        self, openai_client, provider: Provider, fault: str
    ):
        kinds, message = [], ""
        try:
            for event in openai_client.responses.create(
                model=provider.failing(fault), input="a b c d e f g h", stream=True
            ):
                kinds.append(event.type)
                message += getattr(event, "message", "") or ""
                if event.type == "response.failed":
                    message += event.response.error.message
        except openai.APIError as error:
            kinds.append("error")
            message += error.message
        assert "response.output_text.delta" in kinds
        assert kinds[-1] in ("error", "response.failed")
        assert "response.completed" not in kinds
        if fault == "error-event":
            assert "the model broke down" in message

    @faults
    def test_anthropic_s_client_raises(self, anthropic_client: anthropic.Anthropic, provider: Provider, fault: str):
        kinds = []
        with pytest.raises(anthropic.APIStatusError) as raised:
            for event in anthropic_client.messages.create(
                model=provider.failing(fault),
                max_tokens=100,
                messages=[{"role": "user", "content": "a b c d e f g h"}],
                stream=True,
            ):
                kinds.append(event.type)
        assert "content_block_delta" in kinds
        assert "message_stop" not in kinds
        if fault == "error-event":
            assert "the model broke down" in str(raised.value)

    @faults
    def test_google_s_client_raises(self, gemini_client, provider: Provider, fault: str):
        chunks = []
        with pytest.raises(gemini_errors.APIError):
            for chunk in gemini_client.models.generate_content_stream(
                model=provider.failing(fault), contents="a b c d e f g h"
            ):
                chunks.append(chunk)
        assert any(chunk.text for chunk in chunks)
        assert not any(chunk.candidates and chunk.candidates[0].finish_reason for chunk in chunks)


def test_the_caller_may_wait_less_long_than_the_operator(openai_client: openai.OpenAI):
    headers = {"x-litellm-timeout": str(PATIENCE / 5)}
    with pytest.raises(openai.APIStatusError) as raised:
        openai_client.chat.completions.create(
            model=PROVIDERS[0].failing("hang"), messages=ASKED, extra_headers=headers, timeout=PATIENCE * 0.9
        )
    assert raised.value.status_code in (408, 504)
