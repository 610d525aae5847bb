"""A provider that breaks: the caller learns what happened, in time, and the gateway stays small."""

import time

import pytest

from deployments import BROKEN_ANSWERS, BROKEN_BODIES, HANGING, PATIENCE, Provider
from subject import Gateway, Process
from upstream import Upstream

MIB = 1024 * 1024
QUESTION = [{"role": "user", "content": "a b c d e f g h"}]

#: What the message must say of the cause; nothing where there is nothing to say.
CAUSES = {
    "refused": "refused",
    "hang": "timed out",
    "hang-body": "in time",
    "reset": "broken",
    "close": "broken",
    "endless-body": "larger than",
    "gzip-bomb": "gzip",
    "html-502": "502",
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", sorted({*BROKEN_ANSWERS, *BROKEN_BODIES, *HANGING}))
def test_a_broken_answer_is_an_error_of_the_server(gateway: Gateway, provider: Provider, fault: str, stream: bool):
    if stream and fault in ("cut", "reset-body", "hang-body"):
        pytest.skip("the stream has begun by then: see test_provider_errors.py")
    began = time.monotonic()
    body = {"model": provider.failing(fault), "messages": QUESTION, "stream": stream}
    status, _, answer = gateway.post("/v1/chat/completions", body)
    took = time.monotonic() - began
    assert status in ({408, 504} if "hang" in fault else range(500, 600)), answer
    assert answer["error"]["message"]
    assert CAUSES.get(fault, "") in answer["error"]["message"].lower()
    if "hang" in fault:
        assert PATIENCE * 0.8 < took < PATIENCE + 3
    assert gateway.is_alive()


def test_a_provider_s_redirect_is_not_followed(gateway: Gateway, provider: Provider, upstream: Upstream):
    gateway.post("/v1/chat/completions", {"model": provider.failing("redirect"), "messages": QUESTION})
    assert upstream.seen("stolen") == []
    assert len(upstream.seen(provider.failing("redirect"))) == 1


@pytest.mark.parametrize("fault", ["endless-body", "endless-stream", "gzip-bomb"])
def test_a_provider_cannot_fill_the_memory(process: Process, provider: Provider, fault: str):
    process.forget_memory_peak()
    before = process.memory()
    process.post(
        "/v1/chat/completions", {"model": provider.failing(fault), "messages": QUESTION, "stream": "stream" in fault}
    )
    # One answer may have 100 MiB (`tollway.max_response_bytes`), and grows by doubling.
    assert process.memory() - before < 320 * MIB
    assert process.is_alive()


def test_an_endless_event_ends_with_an_error(gateway: Gateway, provider: Provider):
    body = {"model": provider.failing("endless-stream"), "messages": QUESTION, "stream": True}
    status, _, answer = gateway.post("/v1/chat/completions", body)
    assert status >= 500 or "error" in answer
    assert "[DONE]" not in str(answer)


def test_bytes_may_be_cut_anywhere(gateway: Gateway, provider: Provider):
    body = {"model": provider.failing("splinters"), "messages": [{"role": "user", "content": "Grüße 🌦 aus Köln"}]}
    _, _, whole = gateway.post("/v1/chat/completions", body)
    assert whole["choices"][0]["message"]["content"] == 'You said: "Grüße 🌦 aus Köln".'
    _, _, stream = gateway.post("/v1/chat/completions", body | {"stream": True})
    assert "🌦" in stream
    assert stream.rstrip().endswith("data: [DONE]")


def test_a_client_that_leaves_takes_the_provider_s_stream_with_it(
    openai_client, provider: Provider, upstream: Upstream
):
    model = provider.failing("hold")
    stream = openai_client.chat.completions.create(model=model, messages=QUESTION, stream=True)
    next(stream)
    stream.close()
    [seen] = upstream.seen(model)
    assert seen.abandoned.wait(10), "the provider was left to talk to nobody"


def test_what_has_come_is_passed_on_at_once(openai_client, provider: Provider, upstream: Upstream):
    """The first words arrive while the provider still holds back the rest."""
    model = provider.failing("hold")
    stream = openai_client.chat.completions.create(model=model, messages=QUESTION, stream=True)
    text = ""
    while not text:
        chunk = next(stream)
        text += chunk.choices[0].delta.content or ""
    upstream.release(model)
    text += "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == 'You said: "a b c d e f g h".'
